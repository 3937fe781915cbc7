import { defineConfig } from '@playwright/test';

// Playwright runs the tests and drives no browser here: WebKitGTK speaks WebDriver.
export default defineConfig({
  testDir: '.',
  outputDir: '../../../target/webkit-results',
  workers: 1,
  fullyParallel: false,
  forbidOnly: !!process.env.CI,
  timeout: 300_000,
  reporter: [['list']],
});
