import { defineConfig } from '@playwright/test';

// Playwright runs the tests and drives no browser here: it cannot load extensions into Firefox.
export default defineConfig({
  testDir: '.',
  outputDir: '../../../target/firefox-results',
  workers: 1,
  fullyParallel: false,
  forbidOnly: !!process.env.CI,
  timeout: 300_000,
  reporter: [['list']],
});
