// Counts what happens to the fields of this page, for tests: how many `input` and `change` events reached each of
// them, whether they were a person's (trusted), and which buttons were clicked. It never keeps a value.
(function () {
  'use strict';
  var fields = {};
  var clicks = [];
  var busyClicks = 0;

  function viewOf(element) {
    var view = element.closest('[data-viewid]');
    return view ? view.getAttribute('data-viewid') : '';
  }

  function isOffScreen(element) {
    return element.classList.contains('moveOffScreen') || !!element.closest('[aria-hidden=true]');
  }

  // One entry per field: "<view id>/<name or id>", with ":decoy" behind the ones nobody may write to.
  function keyOf(element) {
    return viewOf(element) + '/' + (element.name || element.id) + (isOffScreen(element) ? ':decoy' : '');
  }

  function count(event) {
    var element = event.target;
    if (!(element instanceof HTMLInputElement) || element.type === 'hidden') {
      return;
    }
    var key = keyOf(element);
    var entry = fields[key] || (fields[key] = { input: 0, change: 0, trusted: 0, decoy: isOffScreen(element) });
    entry[event.type] += 1;
    if (event.isTrusted) {
      entry.trusted += 1;
    }
  }

  document.addEventListener('input', count, true);
  document.addEventListener('change', count, true);
  document.addEventListener('click', function (event) {
    var element = event.target;
    if (!(element instanceof Element)) {
      return;
    }
    var named = element.closest('[id],[data-test-id],[data-value]') || element;
    var cover = document.querySelector('.lightbox-cover.disable-lightbox');
    clicks.push({
      on: named.id || named.getAttribute('data-test-id') || named.getAttribute('data-value') || named.localName,
      view: viewOf(element),
      trusted: event.isTrusted
    });
    if (cover) {
      busyClicks += 1;
    }
  }, true);

  window.__observed = {
    fields: fields,
    clicks: clicks,
    get busyClicks() {
      return busyClicks;
    },
    // What stands in every field now: lengths only. Finds values that were written without an event.
    get now() {
      return Array.from(document.querySelectorAll('input:not([type=hidden])')).map(function (element) {
        return { key: keyOf(element), id: element.id, decoy: isOffScreen(element), length: element.value.length };
      });
    },
    get summary() {
      return JSON.stringify({ fields: fields, clicks: clicks.length, busyClicks: busyClicks });
    }
  };
})();
