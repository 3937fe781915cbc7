// Sign-in in a window of its own, as MSAL's loginPopup does it: open the authorization address, watch the window until
// it comes back to this origin with a code behind `#`, redeem it, close the window.
(function () {
  'use strict';
  var state = document.getElementById('popup-state');
  document.getElementById('sign-in').addEventListener('click', function () {
    var popup = window.open('/popup/start' + location.search, 'sign-in', 'popup,width=483,height=640');
    state.textContent = 'Waiting for the sign-in window';
    var timer = setInterval(function () {
      var hash = '';
      try {
        hash = popup.closed ? 'closed' : popup.location.origin === location.origin ? popup.location.hash : '';
      } catch (_) {
        return;
      }
      if (hash === 'closed') {
        clearInterval(timer);
        state.textContent = 'The sign-in window was closed';
      } else if (hash.length > 1) {
        clearInterval(timer);
        popup.close();
        fetch('/popup/redeem', { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: hash.slice(1) })
          .then(function (answer) {
            if (answer.ok) {
              location.assign('/');
            } else {
              state.textContent = 'Sign-in failed';
            }
          });
      }
    }, 50);
  });
})();
