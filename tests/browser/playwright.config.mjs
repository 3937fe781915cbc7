import { defineConfig } from '@playwright/test';

// One test at a time: each has a browser, a host and a simulated Entra of its own, and the clipboard is one for all.
export default defineConfig({
  testDir: './suite',
  outputDir: '../../target/browser-results',
  workers: 1,
  fullyParallel: false,
  forbidOnly: !!process.env.CI,
  // As for everything that starts real programs (.config/nextest.toml): reported as flaky, never silently.
  retries: process.env.CI ? 1 : 0,
  timeout: 120_000,
  reporter: [['list']],
});
