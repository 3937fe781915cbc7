// A sign-in page of a kind nobody has seen yet: React's rules, other ids, other names. Nothing may be filled here.
//
// Like a controlled React input, a box remembers the last value it knows of (the "value tracker"); an event whose
// value equals the remembered one is ignored. A write from the page's own world goes through the tracker, so its
// event is ignored and the box is put back to the state; a write from an extension's isolated world does not.
(function () {
  'use strict';
  var config = window.$Config;
  var state = { account: config.sPOST_Username || '', secret: '' };
  var flowToken = config.sFT;
  var secretName = 'passwd';
  var native = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value');

  function control(box, key) {
    var tracked = '';
    Object.defineProperty(box, 'value', {
      configurable: true,
      get: function () { return native.get.call(box); },
      set: function (value) {
        tracked = String(value);
        native.set.call(box, value);
      }
    });
    box.value = state[key];
    function onEvent() {
      var value = native.get.call(box);
      if (value !== tracked) {
        tracked = value;
        state[key] = value;
      }
      box.value = state[key];
    }
    box.addEventListener('input', onEvent);
    box.addEventListener('change', onEvent);
  }

  function draw(root, step) {
    root.textContent = '';
    var view = document.createElement('div');
    view.setAttribute('data-testid', step + 'View');
    view.innerHTML = step === 'account'
      ? '<h1 data-testid="title"></h1><div class="fui-Field"><input class="fui-Input__input" id="usernameEntry" name="account" type="email" data-testid="accountEntry" aria-labelledby="accountLabel"></div><button type="submit" data-testid="primaryButton" class="fui-Button"></button>'
      : '<div data-testid="bannerAccount"></div><h1 data-testid="title"></h1><div class="fui-Field"><input class="fui-Input__input" id="secretEntry" name="secret" type="password" data-testid="secretEntry"></div><button type="submit" data-testid="primaryButton" class="fui-Button"></button>';
    root.appendChild(view);
    view.querySelector('[data-testid=title]').textContent = step === 'account' ? config.oStrings.signIn : config.oStrings.enterPassword;
    view.querySelector('[data-testid=primaryButton]').textContent = config.oStrings.next;
    control(view.querySelector('input'), step);
    view.querySelector('input').focus();
  }

  function build() {
    var form = document.createElement('form');
    form.method = 'post';
    form.action = config.urlPost;
    form.setAttribute('data-testid', 'routeAnimation');
    var step = 'account';
    var root = document.createElement('div');
    form.appendChild(root);
    document.body.appendChild(form);
    draw(root, step);
    form.addEventListener('submit', function (event) {
      event.preventDefault();
      if (step === 'account') {
        if (!state.account) {
          return;
        }
        var request = new XMLHttpRequest();
        request.open('POST', config.urlGetCredentialType);
        request.setRequestHeader('Content-type', 'application/json');
        request.setRequestHeader('canary', config.apiCanary);
        request.onload = function () {
          var answer = JSON.parse(request.responseText);
          flowToken = answer.FlowToken || flowToken;
          secretName = answer.Credentials && answer.Credentials.PrefCredential === 13 ? 'accesspass' : 'passwd';
          step = 'secret';
          draw(root, step);
        };
        request.send(JSON.stringify({ username: state.account, originalRequest: config.sCtx, flowToken: flowToken }));
      } else {
        HTMLFormElement.prototype.submit.call(form);
      }
    });
    form.addEventListener('formdata', function (event) {
      var data = event.formData;
      data.delete('account');
      data.delete('secret');
      data.set('login', state.account);
      data.set('loginfmt', state.account);
      data.set(secretName, state.secret);
      data.set('ps', secretName === 'accesspass' ? '56' : '2');
      data.set('ctx', config.sCtx);
      data.set('flowToken', flowToken);
      data.set('canary', config.canary);
      data.set('hpgrequestid', config.sessionId);
      data.set('i21', window.__observed.summary);
    });
  }

  window.addEventListener('load', function () { setTimeout(build, config.oTimings.load); });
})();
