// Overwrites the clipboard with nothing. A document that is never shown cannot have the focus that the asynchronous
// clipboard interface demands, so this answers a copy command instead. (The command needs a body to be there.)
addEventListener('copy', (event) => {
  event.clipboardData.setData('text/plain', '');
  event.preventDefault();
}, { once: true });
document.execCommand('copy');
