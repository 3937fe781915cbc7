// The view engine of the sign-in pages: what Knockout does on the real page, re-made small.
//
// Two rules matter. The model takes values from events only (`textInput` listens to input and change, `value` to
// change), so a value that was set without an event does not exist. And what is posted is the model, not the boxes.
// `window.__views` holds the templates that came with this file; the others are fetched when a view is first needed.
(function () {
  'use strict';
  var config = window.$Config;
  var started = Date.now();
  var templates = window.__views;
  var waiting = {};
  var form = null;
  var current = { name: '', node: null };
  var busy = false;
  var state = { discoverable: false, user: config.sPOST_Username || '', flowToken: config.sFT, credentials: config.oGetCredTypeResult || null, pickedUser: '' };
  var model = { 'usernameTextbox.value': state.user };
  var loginOptions = '3';

  // ---- templates: {{key}}, {{{key}}}, {{>partial}}, {{#list or flag}}…{{/}}, {{^flag}}…{{/}}

  function lookUp(context, key) {
    return key === '.' ? context['.'] : key.split('.').reduce(function (value, part) {
      return value === undefined || value === null ? undefined : value[part];
    }, context);
  }

  function escapeText(value) {
    return String(value).replace(/[&<>"']/g, function (character) {
      return '&#' + character.charCodeAt(0) + ';';
    });
  }

  function isThere(value) {
    return Array.isArray(value) ? value.length > 0 : !!value;
  }

  function fill(template, context) {
    return template
      .replace(/\{\{>([\w-]+)\}\}/g, function (_, name) { return fill(templates[name], context); })
      .replace(/\{\{([#^])([\w.]+)\}\}([\s\S]*?)\{\{\/\2\}\}/g, function (_, kind, key, inner) {
        var value = lookUp(context, key);
        if (kind === '^') {
          return isThere(value) ? '' : fill(inner, context);
        }
        if (!isThere(value)) {
          return '';
        }
        var items = Array.isArray(value) ? value : typeof value === 'object' ? [value] : [{}];
        return items.map(function (item) {
          return fill(inner, Object.assign({}, context, typeof item === 'object' ? item : { '.': item }));
        }).join('');
      })
      .replace(/\{\{\{([\w.]+)\}\}\}/g, function (_, key) { var value = lookUp(context, key); return value === undefined ? '' : value; })
      .replace(/\{\{([\w.]+)\}\}/g, function (_, key) {
        var value = lookUp(context, key);
        return value === undefined || value === null ? '' : escapeText(value);
      });
  }

  window.__view = function (name, template) {
    templates[name] = template;
    (waiting[name] || []).forEach(function (then) { then(); });
    delete waiting[name];
  };

  function load(name, then) {
    if (templates[name]) {
      then();
      return;
    }
    if (waiting[name]) {
      waiting[name].push(then);
      return;
    }
    waiting[name] = [then];
    var script = document.createElement('script');
    script.src = config.urlCdn + '/shared/1.0/content/js/asyncchunk/convergedlogin_p' + name + '_' + config.sBuild + '.js';
    document.head.appendChild(script);
  }

  // ---- what a view is filled with

  function text(key, value) {
    return (config.oStrings[key] || key).replace('{0}', value);
  }

  function alternatives(view) {
    var known = (state.credentials && state.credentials.Credentials) || {};
    var list = [];
    if (known.HasPassword && view !== 'password') {
      list.push({ id: 'idA_PWD_SwitchToPassword', click: 'toPassword', value: 'Password', text: text('usePassword') });
    }
    if (known.HasAccessPass && view !== 'access-pass') {
      list.push({ id: 'accessPassLink', click: 'toAccessPass', value: 'AccessPass', text: text('useAccessPass') });
    }
    if (known.HasRemoteNGC && view !== 'remote-ngc') {
      list.push({ id: 'idA_PWD_SwitchToRemoteNGC', click: 'toRemoteNGC', value: 'RemoteNGC', text: text('useApp') });
    }
    if ((known.HasFido || state.discoverable) && view !== 'fido') {
      list.push({ id: 'idA_PWD_SwitchToFido', click: 'toFido', value: 'FidoKey', text: text('usePasskey') });
    }
    if (known.HasCertAuth) {
      list.push({ id: 'idA_PWD_SwitchToCertificate', click: 'toCertificate', value: 'Certificate', text: text('useCertificate') });
    }
    return list;
  }

  function randomId() {
    var bytes = crypto.getRandomValues(new Uint8Array(6));
    return 'i' + Array.from(bytes, function (byte) { return byte.toString(16); }).join('');
  }

  function contextOf(view, error) {
    var others = view === 'credential-picker' ? [] : alternatives(view);
    var context = Object.assign({
      t: config.oStrings,
      user: state.user,
      error: error || '',
      errorId: randomId(),
      userIdLabel: config.sUserIdLabel,
      passwordLabel: text('passwordFor', state.user),
      accessPassType: 'password',
      accessPassId: randomId(),
      peekId: randomId(),
      accessPassBinding: config.fStrictBindings ? 'value' : 'textInput',
      onlySwitch: others.length === 1 ? others[0] : null,
      showPicker: others.length > 1,
      credentials: alternatives(current.name === 'credential-picker' ? '' : current.name),
      requestId: config.sessionId
    }, config.oView);
    return context;
  }

  // ---- bindings

  var handlers = {
    back: function () {
      if (config.sFidoChallenge) {
        location.assign(config.urlFidoCancel);
        return;
      }
      state.discoverable = false;
      forget();
      show('username', 'back');
    },
    peek: function () {
      var box = current.node.querySelector('[name=accesspass]');
      box.type = box.type === 'password' ? 'text' : 'password';
    },
    secondary: function () { loginOptions = '3'; submit(); },
    cancel: function () { location.assign(config.urlCancel); },
    toPassword: function () { show('password', 'next'); },
    toAccessPass: function () { show('access-pass', 'next'); },
    toRemoteNGC: function () { show('remote-ngc', 'next'); },
    toFido: function () { show('fido', 'next'); },
    toCertificate: function () { show('credential-picker', 'next'); },
    toCredentialPicker: function () {
      if (config.sFidoChallenge) {
        location.assign(config.urlFidoCancel);
      } else if (config.pgid === 'ConvergedTFA') {
        show('tfa-methods', 'back');
      } else {
        show('credential-picker', 'next');
      }
    },
    toSignInOptions: function () { state.discoverable = true; show('credential-picker', 'next'); },
    tryAgain: function () { (config.sFidoChallenge ? askAuthenticator : leaveForPasskey)(); },
    toIdentityProvider: function () { show('username', 'back'); },
    toMethods: function () { show('tfa-methods', 'back'); },
    toCode: function () { show('tfa-code', 'next'); },
    toPush: beginPush,
    chooseWork: function () { showCredential('next'); },
    choosePersonal: function () { location.assign(config.urlPostMsa); },
    otherAccount: function () { state.user = ''; model['usernameTextbox.value'] = ''; show('username', 'next'); },
    chooseAccount: function (element) {
      var name = element.getAttribute('data-test-id');
      var session = (config.arrSessions || []).filter(function (known) { return known.name === name; })[0];
      if (config.pgid === 'ConvergedSignOut') {
        location.assign(config.urlLogout + (config.urlLogout.indexOf('?') < 0 ? '?' : '&') + 'logout_hint=' + encodeURIComponent(name));
      } else if (session && session.isSignedIn) {
        location.assign(config.urlResume + '&login_hint=' + encodeURIComponent(name));
      } else {
        model['usernameTextbox.value'] = name;
        askCredentialType(name);
      }
    },
    forgetAccount: function (element) {
      var tile = element.closest('.tile');
      tile.remove();
    }
  };

  function listen(element, key, events, node) {
    element.value = model[key] || '';
    events.forEach(function (type) {
      element.addEventListener(type, function () {
        if (node === current.node) {
          model[key] = element.value;
        }
      });
    });
  }

  // The hidden user name of the password view: whatever is written there from outside is taken back, and the password
  // box is emptied.
  function guard(element) {
    function check() {
      setTimeout(function () {
        if (element.value !== state.user) {
          element.value = state.user;
          model['passwordTextbox.value'] = '';
          var box = current.node && current.node.querySelector('#i0118');
          if (box) {
            box.value = '';
          }
        }
      }, 0);
    }
    element.addEventListener('input', check);
    element.addEventListener('change', check);
  }

  function bind(node) {
    node.querySelectorAll('[data-bind]').forEach(function (element) {
      var bindings = element.getAttribute('data-bind');
      var isBox = element instanceof HTMLInputElement && !/^(hidden|submit|button)$/.test(element.type);
      var textInput = /(?:^|[\s,])textInput:\s*([\w.]+)/.exec(bindings);
      var value = /(?:^|[\s,])value:\s*([\w.]+)/.exec(bindings);
      var checked = /(?:^|[\s,])checked:\s*([\w.]+)/.exec(bindings);
      var click = /(?:^|[\s,])click:\s*(\w+)/.exec(bindings);
      if (isBox && textInput) {
        listen(element, textInput[1], ['input', 'change'], node);
      } else if (isBox && value && value[1] === 'unsafe_displayName') {
        guard(element);
      } else if (isBox && value) {
        listen(element, value[1], ['change'], node);
      } else if (isBox && checked) {
        element.addEventListener('click', function () { model[checked[1]] = element.checked; });
      }
      if (click && element.type !== 'submit' && handlers[click[1]]) {
        element.addEventListener('click', function (event) {
          if (element.type !== 'checkbox') {
            event.preventDefault();
          }
          event.stopPropagation();
          if (!busy && node === current.node) {
            handlers[click[1]](element);
          }
        });
        element.addEventListener('keydown', function (event) {
          if (element.getAttribute('role') === 'button' && (event.key === 'Enter' || event.key === ' ') && !busy) {
            event.preventDefault();
            handlers[click[1]](element);
          }
        });
      }
    });
  }

  // ---- views

  function setBusy(on) {
    busy = on;
    var cover = document.querySelector('.lightbox-cover');
    if (cover) {
      cover.classList.toggle('disable-lightbox', on);
      document.getElementById('progressBar').classList.toggle('idle', !on);
    }
  }

  function forget() {
    model['passwordTextbox.value'] = '';
    model['accessPassTextbox.value'] = '';
    model.otc = '';
  }

  function show(name, direction, error) {
    setBusy(true);
    load(name, function () {
      var pagination = document.getElementById('paginationControl');
      var outgoing = current.node;
      var node = document.createElement('div');
      node.className = 'pagination-view animate' + (outgoing ? ' slide-in-' + direction : '');
      node.innerHTML = fill(templates[name], contextOf(name, error));
      current = { name: name, node: node };
      pagination.appendChild(node);
      bind(node);
      var settle = function () {
        if (outgoing) {
          outgoing.remove();
        }
        setBusy(false);
        var box = node.querySelector('input.form-control:not(.moveOffScreen)');
        if (box) {
          box.focus();
        }
        if (name === 'fido' && !error) {
          beginPasskey();
        }
      };
      if (!outgoing) {
        settle();
      } else if (error !== undefined) {
        outgoing.remove();
        settle();
      } else {
        outgoing.className = 'pagination-view animate slide-out-' + direction;
        setTimeout(settle, config.oTimings.overlap);
      }
    });
  }

  function fail(message) {
    show(current.name, 'next', message);
  }

  function showCredential(direction, error) {
    var known = (state.credentials && state.credentials.Credentials) || {};
    if (known.FederationRedirectUrl) {
      show('idp-redirect', direction);
      setTimeout(function () { location.assign(known.FederationRedirectUrl); }, config.oTimings.overlap + 400);
      return;
    }
    var view = { 2: 'remote-ngc', 7: 'fido', 13: 'access-pass' }[known.PrefCredential] || 'password';
    if (view === 'password' && model.passwordBrowserPrefill) {
      model['passwordTextbox.value'] = model.passwordBrowserPrefill;
    }
    show(view, direction, error);
  }

  function askCredentialType(userName) {
    setBusy(true);
    var request = new XMLHttpRequest();
    request.open('POST', config.urlGetCredentialType);
    request.setRequestHeader('Content-type', 'application/json; charset=UTF-8');
    request.setRequestHeader('canary', config.apiCanary);
    request.setRequestHeader('client-request-id', config.correlationId);
    request.setRequestHeader('hpgid', String(config.hpgid));
    request.setRequestHeader('hpgact', String(config.hpgact));
    request.setRequestHeader('hpgrequestid', config.sessionId);
    request.onload = function () {
      var answer = null;
      try {
        answer = JSON.parse(request.responseText);
      } catch (_) {
        answer = { IfExistsResult: 4 };
      }
      if (answer.FlowToken) {
        state.flowToken = answer.FlowToken;
      }
      if (answer.apiCanary) {
        config.apiCanary = answer.apiCanary;
      }
      if (answer.error || answer.IfExistsResult === 2 || answer.IfExistsResult === 4) {
        fail(text('throttled'));
        return;
      }
      if (answer.IfExistsResult === 1) {
        fail(text('e50034'));
        return;
      }
      state.user = answer.Display || userName;
      state.credentials = answer;
      if (answer.IfExistsResult === 6) {
        show('disambiguation', 'next');
      } else if (answer.IfExistsResult === 5) {
        location.assign(config.urlPostMsa);
      } else {
        showCredential('next');
      }
    };
    request.onerror = function () { fail(text('throttled')); };
    request.send(JSON.stringify({
      username: userName,
      isOtherIdpSupported: true,
      checkPhones: false,
      isRemoteNGCSupported: true,
      isCookieBannerShown: false,
      isFidoSupported: true,
      originalRequest: config.sCtx,
      country: 'US',
      forceotclogin: false,
      isExternalFederationDisallowed: false,
      isRemoteConnectSupported: false,
      federationFlags: 0,
      isSignup: false,
      flowToken: state.flowToken,
      isAccessPassSupported: true
    }));
  }

  // ---- MFA by notification

  function call(url, body, then) {
    var request = new XMLHttpRequest();
    request.open('POST', url);
    request.setRequestHeader('Content-type', 'application/json; charset=UTF-8');
    request.onload = function () { then(JSON.parse(request.responseText)); };
    request.send(JSON.stringify(body));
  }

  function beginPush() {
    setBusy(true);
    call(config.urlBeginAuth, { AuthMethodId: 'PhoneAppNotification', Method: 'BeginAuth', ctx: config.sCtx, flowToken: state.flowToken }, function (answer) {
      config.oView.number = answer.Entropy;
      show('tfa-push', 'next');
      poll();
    });
  }

  function poll() {
    call(config.urlEndAuth, { AuthMethodId: 'PhoneAppNotification', Method: 'EndAuth', ctx: config.sCtx, flowToken: state.flowToken }, function (answer) {
      if (current.name !== 'tfa-push') {
        return;
      }
      if (answer.Success) {
        submit();
      } else if (answer.ResultValue === 'PhoneAppDenied') {
        show('tfa-denied', 'next');
      } else if (answer.ResultValue === 'PhoneAppNoResponse') {
        show('tfa-timeout', 'next');
      } else {
        setTimeout(poll, 1000);
      }
    });
  }

  // ---- passkey: this page leaves for the relying party's host, and the page there asks the browser

  function beginPasskey() {
    var known = (state.credentials && state.credentials.Credentials) || {};
    if (config.sFidoChallenge) {
      askAuthenticator();
    } else if (known.FidoParams || state.discoverable || config.pgid === 'ConvergedTFA') {
      leaveForPasskey();
    }
  }

  function post(address, fields) {
    setBusy(true);
    var leaving = document.createElement('form');
    leaving.method = 'post';
    leaving.action = address;
    Object.keys(fields).forEach(function (name) {
      var field = document.createElement('input');
      field.type = 'hidden';
      field.name = name;
      field.value = fields[name];
      leaving.appendChild(field);
    });
    document.body.appendChild(leaving);
    leaving.submit();
  }

  function leaveForPasskey() {
    post(config.urlFidoLogin, {
      allowedIdentities: String(config.iAllowedIdentities),
      canary: config.canary,
      ctx: config.sCtx,
      flowToken: state.flowToken,
      postBackUrl: config.urlPost,
      cancelUrl: config.urlRefresh,
      resumeUrl: config.urlResume,
      correlationId: config.correlationId,
      username: state.discoverable ? '' : state.user
    });
  }

  function bytesOf(text) {
    var binary = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
    return Uint8Array.from(binary, function (character) { return character.charCodeAt(0); });
  }

  function textOf(buffer) {
    var binary = String.fromCharCode.apply(null, new Uint8Array(buffer));
    return btoa(binary).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  }

  function askAuthenticator() {
    navigator.credentials.get({
      publicKey: {
        challenge: bytesOf(config.sFidoChallenge),
        rpId: config.sFidoRpId,
        timeout: 60000,
        userVerification: 'required',
        allowCredentials: config.arrFidoAllowList.map(function (id) { return { type: 'public-key', id: bytesOf(id) }; })
      }
    }).then(function (credential) {
      var answer = credential.response;
      post(config.urlPost, {
        type: '23',
        ps: '23',
        assertion: JSON.stringify({
          id: credential.id,
          clientDataJSON: textOf(answer.clientDataJSON),
          authenticatorData: textOf(answer.authenticatorData),
          signature: textOf(answer.signature),
          userHandle: answer.userHandle && answer.userHandle.byteLength ? textOf(answer.userHandle) : null
        }),
        lmcCanary: config.sCrossDomainCanary,
        login: state.user,
        loginfmt: state.user,
        ctx: config.sCtx,
        flowToken: state.flowToken,
        canary: config.canary,
        hpgrequestid: config.sessionId,
        i21: window.__observed.summary
      });
    }, function () { fail(text('passkeyFailed')); });
  }

  // ---- submitting

  // Name in the form → name in the model, per view. These are the values that count.
  var posted = {
    password: { passwd: 'passwordTextbox.value' },
    'access-pass': { accesspass: 'accessPassTextbox.value' },
    'tfa-code': { otc: 'otc' },
    'device-code': { otc: 'userCode' },
    'change-password': { currentpasswd: 'currentPassword', newpasswd: 'newPassword', confirmnewpasswd: 'confirmNewPassword' }
  };

  function tamperedDecoys() {
    return Array.from(document.querySelectorAll('input.moveOffScreen')).filter(function (decoy) {
      return decoy.value !== (decoy.name === 'loginfmt' ? state.user : '');
    }).length;
  }

  function complete(event) {
    var data = event.formData;
    var own = posted[current.name] || {};
    ['loginfmt', 'passwd', 'accesspass', 'otc'].forEach(function (name) { data.delete(name); });
    Object.keys(own).forEach(function (name) { data.set(name, model[own[name]] || ''); });
    if (current.name === 'password' || current.name === 'access-pass') {
      data.set('loginfmt', state.user);
      data.set('login', state.user);
    }
    if (current.name === 'kmsi') {
      data.set('LoginOptions', loginOptions);
    }
    data.set('ps', (current.node.querySelector('[data-viewid]') || document.body).getAttribute('data-viewid') || '');
    data.set('ctx', config.sCtx);
    data.set('request', config.sCtx);
    data.set('flowToken', state.flowToken);
    data.set('canary', config.canary);
    data.set('hpgrequestid', config.sessionId);
    data.set('i19', String(Date.now() - started));
    var observed = JSON.parse(window.__observed.summary);
    observed.tamperedDecoys = tamperedDecoys();
    data.set('i21', JSON.stringify(observed));
  }

  function submit() {
    setBusy(true);
    HTMLFormElement.prototype.submit.call(form);
  }

  function primary() {
    if (busy) {
      return;
    }
    var view = current.name;
    if (view === 'username') {
      var userName = (model['usernameTextbox.value'] || '').trim();
      if (!userName) {
        fail(text('enterUsername'));
      } else {
        askCredentialType(userName);
      }
    } else if (view === 'password' && !model['passwordTextbox.value']) {
      fail(text('enterThePassword'));
    } else if (view === 'access-pass' && !model['accessPassTextbox.value']) {
      fail(text('enterThePass'));
    } else if (view === 'kmsi') {
      loginOptions = '1';
      submit();
    } else if (view === 'remote-ngc') {
      fail('');
    } else {
      submit();
    }
  }

  // ---- start

  function build() {
    var host = document.createElement('div');
    host.innerHTML = fill(templates.layout, Object.assign({
      t: config.oStrings,
      busy: false,
      branded: config.staticTenantBranding ? config.staticTenantBranding[0] : null,
      brandName: config.sCompanyDisplayName,
      boilerplate: config.staticTenantBranding ? config.staticTenantBranding[0].BoilerPlateText : '',
      vertical: config.fVerticalSplit,
      themeDark: config.fDarkTheme,
      ctx: config.sCtx,
      canary: config.canary,
      flowToken: state.flowToken,
      requestId: config.sessionId,
      view: ''
    }));
    form = document.createElement('form');
    var attributes = config.pgid === 'ConvergedTFA'
      ? { name: 'form', id: 'i0281' }
      : { name: 'f1', id: 'i0281' };
    Object.assign(attributes, {
      novalidate: 'novalidate', spellcheck: 'false', method: 'post', target: '_top', autocomplete: 'off', action: config.urlPost,
      'data-bind': 'autoSubmit: forceSubmit, attr: { action: postUrl }, ariaHidden: !!activeDialog()'
    });
    Object.keys(attributes).forEach(function (name) { form.setAttribute(name, attributes[name]); });
    while (host.firstChild) {
      form.appendChild(host.firstChild);
    }
    form.addEventListener('submit', function (event) {
      event.preventDefault();
      primary();
    });
    form.addEventListener('formdata', complete);
    host.appendChild(form);
    document.body.appendChild(host);
    if (config.fStill) {
      document.body.classList.add('still');
    }
    start();
  }

  function start() {
    var error = config.sErrorCode && config.sErrorCode !== '50058' ? config.sErrTxt : undefined;
    if (config.sDefaultView === 'credential') {
      showCredential('next', error);
    } else {
      show(config.sDefaultView, 'next', error);
    }
    if (config.sDefaultView === 'tfa-push') {
      poll();
    }
  }

  if (document.readyState === 'complete') {
    setTimeout(build, config.oTimings.load);
  } else {
    window.addEventListener('load', function () { setTimeout(build, config.oTimings.load); });
  }
})();
