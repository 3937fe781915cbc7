import { defineConfig } from '@playwright/test';

// One test at a time: each has a browser, a host and a simulated Entra of its own, and the clipboard is one for all.
export default defineConfig({
  testDir: './suite',
  outputDir: '../../target/browser-results',
  workers: 1,
  fullyParallel: false,
  forbidOnly: !!process.env.CI,
  timeout: 120_000,
  reporter: [['list']],
});
