//! Frozen pages for refusal tests: `/gallery/<name>` on every host, also as `/<tenant>/gallery/<name>` where a test
//! needs a tenant in the path. `GET /gallery/` lists them.
//!
//! A frozen page is the DOM as it stands after the view was rendered, with nothing behind it but the counter of events.
//! `?user=`, `?language=`, `?theme=dark`, `?branded=1`, `?vertical=1`, `?error=` (an AADSTS number) change what it
//! shows, `?framable=1` leaves `X-Frame-Options` out. Real flows never carry such parameters. Other sites' login pages stand here too, and at their own host names.

use axum::Json;
use axum::http::Method;
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::hosts::Host;
use super::knobs::PageKnobs;
use super::shell::{self, BUILD, CONTENT_DELIVERY};
use super::strings::Strings;
use super::template::{escaped, fill, view};
use super::visit::Visit;
use super::{Pages, Refusal, authorize, finish, headers, interrupts, login};

/// Who the frozen pages are about when nobody is named.
const SOMEBODY: &str = "jit-alex@contoso.onmicrosoft.com";

/// Every page's name.
#[must_use]
pub(super) fn names() -> Vec<&'static str> {
    RAW.iter()
        .map(|(name, _, _)| *name)
        .chain(FROZEN.iter().map(|frozen| frozen.name))
        .chain(["sliding", "future", "working", "bsso"])
        .chain(OTHER_SITES.iter().map(|(name, _)| *name))
        .collect()
}

/// A gallery page, when the path names one.
pub(super) fn visit(pages: &Pages, visit: &Visit) -> Result<Option<Response>, Refusal> {
    let segments = visit.segments();
    let name = match segments.as_slice() {
        ["gallery"] | [_, "gallery"] => return Ok(Some(Json(names()).into_response())),
        ["gallery", name] | [_, "gallery", name] => *name,
        _ => return Ok(None),
    };
    // A form on a frozen page that somebody sends: noted, never answered with a session.
    if visit.method == Method::POST {
        login::note(pages, visit, visit.posted("loginfmt"), 50_089);
    }
    let knobs = PageKnobs { xfo_off: visit.asked("framable").is_some(), ..pages.knobs("common")? };
    let response = if let Some((_, page, branded)) = RAW.iter().find(|(known, _, _)| *known == name) {
        raw(visit, &knobs, page, *branded)
    } else if let Some(page) = FROZEN.iter().find(|page| page.name == name) {
        frozen(visit, &knobs, page)
    } else if let Some((_, text)) = OTHER_SITES.iter().find(|(known, _)| *known == name) {
        other(visit, text)
    } else {
        match name {
            "sliding" => sliding(visit, &knobs),
            "future" => future(visit, &knobs),
            "working" => Html(finish::working_document(
                language(visit, ""),
                "https://portal.azure.com/signin/index/",
                &[("code", "0.AAAA"), ("state", "OpenIdConnect")],
                None,
            ))
            .into_response(),
            "bsso" => raw(visit, &knobs, "BssoInterrupt", false),
            _ => return Err(Refusal::NoSuchPage),
        }
    };
    Ok(Some(response))
}

/// What another site shows at its own host name.
pub(super) fn other_site(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    if visit.method == Method::POST {
        login::note(pages, visit, visit.posted("UserName"), 50_126);
    }
    let name = match visit.kind {
        Host::Consumer if visit.path.ends_with("oauth20_authorize.srf") => "live-fluent",
        Host::Consumer => "live-i5030",
        Host::Federation => "adfs",
        Host::Okta => "okta",
        Host::GitHub => "github-login",
        _ => "framing",
    };
    let (_, text) = OTHER_SITES.iter().find(|(known, _)| *known == name).ok_or(Refusal::NoSuchPage)?;
    Ok(other(visit, text))
}

/// Server documents before any script: name, PageID, tenant branding.
const RAW: [(&str, &str, bool); 5] = [
    ("raw-sign-in", "ConvergedSignIn", false),
    ("raw-sign-in-branded", "ConvergedSignIn", true),
    ("raw-tfa", "ConvergedTFA", false),
    ("raw-kmsi", "KmsiInterrupt", false),
    ("raw-proof-up", "ConvergedProofUpRedirect", false),
];

const OTHER_SITES: [(&str, &str); 8] = [
    ("look-alike", include_str!("../../assets/foreign/look-alike.html")),
    ("live-i5030", include_str!("../../assets/foreign/live-i5030.html")),
    ("live-fluent", include_str!("../../assets/foreign/live-fluent.html")),
    ("adfs", include_str!("../../assets/foreign/adfs.html")),
    ("okta", include_str!("../../assets/foreign/okta.html")),
    ("generic-login", include_str!("../../assets/foreign/generic-login.html")),
    ("github-login", include_str!("../../assets/foreign/github-login.html")),
    ("framing", include_str!("../../assets/foreign/framing.html")),
];

/// A view as it stands after it was rendered.
struct Frozen {
    name: &'static str,
    page: &'static str,
    view: &'static str,
    error: Option<u32>,
    language: &'static str,
    /// What differs from the usual context.
    change: fn(&mut Map<String, Value>, &Strings),
}

const fn page(name: &'static str, page: &'static str, view: &'static str) -> Frozen {
    Frozen { name, page, view, error: None, language: "", change: |_, _| {} }
}

const fn refused(name: &'static str, view: &'static str, error: u32) -> Frozen {
    Frozen { error: Some(error), ..page(name, "ConvergedSignIn", view) }
}

const fn changed(frozen: Frozen, change: fn(&mut Map<String, Value>, &Strings)) -> Frozen {
    Frozen { change, ..frozen }
}

const fn in_language(frozen: Frozen, language: &'static str) -> Frozen {
    Frozen { language, ..frozen }
}

const SIGN_IN: &str = "ConvergedSignIn";
const MFA: &str = "ConvergedTFA";

const FROZEN: &[Frozen] = &[
    page("username", SIGN_IN, "username"),
    changed(page("username-prefilled", SIGN_IN, "username"), |context, _| set(context, "value", json!(SOMEBODY))),
    changed(page("username-prefilled-other", SIGN_IN, "username"), |context, _| {
        set(context, "value", json!("somebody.else@contoso.com"));
    }),
    in_language(changed(page("username-german-branded", SIGN_IN, "username"), german_branding), "de"),
    in_language(changed(page("password-german-branded", SIGN_IN, "password"), german_branding), "de"),
    in_language(page("username-arabic", SIGN_IN, "username"), "ar"),
    in_language(page("password-japanese", SIGN_IN, "password"), "ja"),
    changed(page("username-vertical", SIGN_IN, "username"), |context, strings| {
        german_branding(context, strings);
        set(context, "vertical", json!(true));
    }),
    refused("username-error-50034", "username", 50034),
    changed(page("picker", SIGN_IN, "picker"), |context, strings| {
        accounts(context, strings, &["someone.else@contoso.com", SOMEBODY]);
    }),
    changed(page("picker-other-accounts", SIGN_IN, "picker"), |context, strings| {
        accounts(context, strings, &["someone.else@contoso.com", "jit-alex@contoso.onmicrosoft.com.evil.test"]);
    }),
    changed(page("picker-empty", SIGN_IN, "picker"), |context, strings| accounts(context, strings, &[])),
    page("disambiguation", SIGN_IN, "disambiguation"),
    page("password", SIGN_IN, "password"),
    changed(page("password-other-user", SIGN_IN, "password"), |context, _| {
        set(context, "user", json!("somebody.else@contoso.com"));
    }),
    changed(page("password-with-pass-link", SIGN_IN, "password"), |context, strings| {
        let link = json!({"id": "accessPassLink", "click": "toAccessPass", "text": strings.word("useAccessPass")});
        set(context, "onlySwitch", link);
    }),
    changed(page("password-other-ways", SIGN_IN, "password"), |context, _| set(context, "showPicker", json!(true))),
    changed(page("password-busy", SIGN_IN, "password"), |context, _| set(context, "busy", json!(true))),
    refused("password-error-50126", "password", 50126),
    refused("password-error-50053", "password", 50053),
    refused("password-error-50057", "password", 50057),
    refused("password-error-50056", "password", 50056),
    changed(page("access-pass", SIGN_IN, "access-pass"), |context, strings| {
        let link =
            json!({"id": "idA_PWD_SwitchToPassword", "click": "toPassword", "text": strings.word("usePassword")});
        set(context, "onlySwitch", link);
    }),
    changed(page("access-pass-shown", SIGN_IN, "access-pass"), |context, _| {
        set(context, "accessPassType", json!("text"))
    }),
    refused("access-pass-error-130502", "access-pass", 130_502),
    refused("access-pass-error-130503", "access-pass", 130_503),
    refused("access-pass-error-130504", "access-pass", 130_504),
    refused("access-pass-error-130505", "access-pass", 130_505),
    page("credential-picker", SIGN_IN, "credential-picker"),
    page("fido", SIGN_IN, "fido"),
    page("remote-ngc", SIGN_IN, "remote-ngc"),
    page("captcha", SIGN_IN, "captcha"),
    page("federated", SIGN_IN, "idp-redirect"),
    page("tfa-code", MFA, "tfa-code"),
    changed(page("tfa-text-message", MFA, "tfa-code"), |context, strings| {
        set(context, "method", json!("OneWaySMS"));
        set(context, "codeDescription", json!(strings.word("codeFromText")));
    }),
    changed(page("tfa-code-wrong", MFA, "tfa-code"), |context, strings| {
        set(context, "error", json!(strings.word("wrongCode")));
    }),
    page("tfa-methods", MFA, "tfa-methods"),
    // A pass as the second factor: the same box on the page that otherwise asks for codes.
    page("tfa-access-pass", MFA, "access-pass"),
    page("tfa-push", MFA, "tfa-push"),
    page("tfa-denied", MFA, "tfa-denied"),
    page("tfa-timeout", MFA, "tfa-timeout"),
    page("kmsi", "KmsiInterrupt", "kmsi"),
    changed(page("proof-up", "ConvergedProofUpRedirect", "proof-up"), |context, _| {
        set(context, "canSkip", json!(true))
    }),
    page("change-password", "ConvergedChangePassword", "change-password"),
    page("consent", "ConvergedConsent", "consent"),
    page("conditional-access", "ConvergedConditionalAccess", "conditional-access"),
    page("error", "ConvergedError", "error"),
    page("device-code", "ConvergedRemoteConnect", "device-code"),
    page("cmsi", "CmsiInterrupt", "cmsi"),
    changed(page("sign-out-picker", "ConvergedSignOut", "picker"), |context, strings| {
        accounts(context, strings, &["someone.else@contoso.com", SOMEBODY]);
        set(context, "title", json!(strings.word("signOutPick")));
        set(context, "signOut", json!(true));
    }),
    // The same engine and DOM for customers of customers, on hosts that are not for administrators.
    page("ciam", SIGN_IN, "password"),
];

fn set(context: &mut Map<String, Value>, name: &str, value: Value) {
    context.insert(name.to_owned(), value);
}

fn german_branding(context: &mut Map<String, Value>, _: &Strings) {
    set(context, "branded", json!(true));
    set(context, "brandName", json!("Contoso"));
    set(context, "boilerplate", json!("Geben Sie Ihr Kennwort (Password) nie weiter. Hotline: 555-0100."));
    set(context, "userIdLabel", json!("vorname.nachname@contoso.com"));
    set(context, "value", json!("vorname.nachname@contoso.com"));
}

fn accounts(context: &mut Map<String, Value>, strings: &Strings, names: &[&str]) {
    let accounts: Vec<(String, bool)> = names.iter().map(|name| ((*name).to_owned(), false)).collect();
    set(context, "accounts", authorize::tiles(&accounts, &strings.word("language")));
}

fn language<'a>(visit: &'a Visit, usual: &'a str) -> &'a str {
    visit.asked("language").unwrap_or(usual)
}

/// The context of a frozen page before it is changed.
fn usual_context(visit: &Visit, strings: &Strings) -> Map<String, Value> {
    let user = visit.asked("user").unwrap_or(SOMEBODY);
    let mut context = Map::from_iter([
        ("t".to_owned(), strings.as_value()),
        ("user".to_owned(), json!(user)),
        ("userIdLabel".to_owned(), json!(strings.word("usernamePlaceholder"))),
        ("passwordLabel".to_owned(), json!(strings.word_with("passwordFor", user))),
        ("accessPassType".to_owned(), json!("password")),
        ("accessPassBinding".to_owned(), json!("value")),
        // The pass box has no id that anybody may rely on.
        ("accessPassId".to_owned(), json!(format!("i{}", &super::session::random()[..8]))),
        ("errorId".to_owned(), json!(format!("i{}", &super::session::random()[..8]))),
        ("peekId".to_owned(), json!(format!("i{}", &super::session::random()[..8]))),
        ("title".to_owned(), json!(strings.word("pickAccount"))),
        ("appName".to_owned(), json!("Azure Portal")),
        ("scopes".to_owned(), json!(["Sign you in and read your profile"])),
        ("code".to_owned(), json!(53003)),
        ("cmsiTitle".to_owned(), json!(strings.word_with("cmsiTitle", "Microsoft Azure CLI"))),
        ("serviceException".to_owned(), json!("AADSTS50020: User account does not exist in this tenant.")),
        ("skipUrl".to_owned(), json!("/common/reprocess?ctx=rQQIARAA")),
        (
            "credentials".to_owned(),
            json!([
                {"value": "AccessPass", "click": "toAccessPass", "text": strings.word("useAccessPass")},
                {"value": "Password", "click": "toPassword", "text": strings.word("usePassword")},
                {"value": "FidoKey", "click": "toFido", "text": strings.word("usePasskey")},
            ]),
        ),
        ("requestId".to_owned(), json!("5d3c2f4e-0c4c-4a8e-9a55-0d5b5bb40a00")),
        ("ctx".to_owned(), json!("rQQIARAAgallery")),
        ("flowToken".to_owned(), json!("AQABIQEAAAgallery")),
        ("canary".to_owned(), json!("gallery:0")),
        ("defaultType".to_owned(), json!(1)),
        ("themeDark".to_owned(), json!(visit.asked("theme") == Some("dark"))),
    ]);
    context.extend(interrupts::mfa_context(strings, 42));
    context
}

fn frozen(visit: &Visit, knobs: &PageKnobs, page: &Frozen) -> Response {
    let strings = Strings::of(language(visit, page.language));
    let mut context = usual_context(visit, &strings);
    let page = &Frozen { error: visit.asked("error").and_then(|number| number.parse().ok()).or(page.error), ..*page };
    if let Some(number) = page.error {
        set(&mut context, "error", json!(strings.error(number)));
    }
    if visit.asked("branded").is_some() {
        german_branding(&mut context, &strings);
    }
    set(&mut context, "vertical", json!(visit.asked("vertical").is_some()));
    (page.change)(&mut context, &strings);
    let body = rendered(page.view, &context);
    document(visit, knobs, &strings, page, &context, &[body])
}

/// Outgoing user name view, incoming password view, the cover on: ids stand there twice.
fn sliding(visit: &Visit, knobs: &PageKnobs) -> Response {
    let strings = Strings::of(language(visit, ""));
    let mut context = usual_context(visit, &strings);
    set(&mut context, "busy", json!(true));
    let views = [rendered("username", &context), rendered("password", &context)];
    document(visit, knobs, &strings, &page("sliding", SIGN_IN, "password"), &context, &views)
}

fn rendered(name: &str, context: &Map<String, Value>) -> String {
    let mut html = fill(view(name).unwrap_or_default(), context);
    // A box's content is not part of the templates: the engine sets it.
    if let Some(value) = context.get("value").and_then(Value::as_str).filter(|_| name == "username") {
        html = html.replace("value=\"\"><!-- /ko -->", &format!("value=\"{}\"><!-- /ko -->", escaped(value)));
    }
    html
}

fn document(
    visit: &Visit,
    knobs: &PageKnobs,
    strings: &Strings,
    page: &Frozen,
    context: &Map<String, Value>,
    views: &[String],
) -> Response {
    let nonce = headers::nonce();
    let observe = format!("{CONTENT_DELIVERY}/shared/1.0/content/js/observe_{BUILD}.js");
    let config = json!({
        "pgid": page.page,
        "sErrorCode": page.error.unwrap_or(50058).to_string(),
        "urlPost": "/common/login",
        "sFT": context.get("flowToken"),
        "sCtx": context.get("ctx"),
        "canary": context.get("canary"),
        "sPOST_Username": if page.view == "username" { Value::from("") } else { json!(context.get("user")) },
        "allowFrame": true,
    });
    let head = shell::head(strings, page.page, &nonce, &config, Some(&observe), &visit.origin);
    let slides = ["slide-out-next", "slide-in-next"];
    let shown: String = views
        .iter()
        .zip(slides.iter().skip(2 - views.len()))
        .map(|(html, slide)| {
            // On a page that stands still nothing moves.
            let slide = if views.len() > 1 { slide } else { "" };
            format!("<div class=\"pagination-view animate {slide}\">{html}</div>")
        })
        .collect();
    let mut layout_context = context.clone();
    set(&mut layout_context, "view", json!(shown));
    let view_id =
        views.last().and_then(|html| html.split("data-viewid=\"").nth(1)).and_then(|rest| rest.split('"').next());
    set(&mut layout_context, "viewId", json!(view_id));
    let (name, action) = match page.page {
        "KmsiInterrupt" => ("f1", "/kmsi".to_owned()),
        MFA => ("form", format!("{}/common/SAS/ProcessAuth", visit.origin)),
        "CmsiInterrupt" => ("f1", "/appverify".to_owned()),
        "ConvergedRemoteConnect" => ("f1", "/common/oauth2/deviceauth".to_owned()),
        _ => ("f1", "/common/login".to_owned()),
    };
    let still = if views.len() > 1 { "cb still" } else { "cb" };
    let body = format!(
        "<body data-bind=\"defineGlobals: ServerData, bodyCssClass\" class=\"{still}\" style=\"display: block\">\n<div>\
         <form name=\"{name}\" id=\"i0281\" novalidate=\"novalidate\" spellcheck=\"false\" method=\"post\" target=\"_top\" \
         autocomplete=\"off\" data-bind=\"autoSubmit: forceSubmit, attr: {{ action: postUrl }}\" action=\"{}\">{}</form></div>",
        escaped(&action),
        fill(view("layout").unwrap_or_default(), &layout_context),
    );
    let mut response = Html(shell::document(strings, &head, &body)).into_response();
    headers::secure(&mut response, knobs, &nonce);
    response
}

/// As the server sends it, and so it stays: no script, no form.
fn raw(visit: &Visit, knobs: &PageKnobs, page_id: &str, branded: bool) -> Response {
    let strings = Strings::of(language(visit, ""));
    let nonce = headers::nonce();
    let post_to = if branded { "/11111111-1111-4111-8111-111111111111/login" } else { "/common/login" };
    let branding = json!([{
        "Locale": 0,
        "BannerLogo": "",
        "BackgroundColor": "#0b3d5c",
        "BoilerPlateText": "Never give anybody your password.",
        "UserIdLabel": "someone@contoso.com",
        "KeepMeSignedInDisabled": false,
    }]);
    let config = json!({
        "pgid": page_id,
        "sErrorCode": "50058",
        "urlPost": post_to,
        "urlPostAad": "/common/login",
        "urlPostMsa": "https://login.live.com/ppsecure/partnerpost.srf",
        "sPOST_Username": "",
        "sFTName": "flowToken",
        "fKMSIEnabled": false,
        "staticTenantBranding": branded.then_some(branding),
    });
    let head = shell::head(&strings, page_id, &nonce, &config, None, &visit.origin);
    let body = format!("{}{}", shell::BODY_START, shell::frame_buster(&nonce));
    let mut response = Html(shell::document(&strings, &head, &body)).into_response();
    headers::secure(&mut response, knobs, &nonce);
    response
}

/// The page nobody knows yet, standing still.
fn future(visit: &Visit, knobs: &PageKnobs) -> Response {
    let strings = Strings::of(language(visit, ""));
    let nonce = headers::nonce();
    let config = json!({"pgid": SIGN_IN, "sErrorCode": "50058", "urlPost": "/common/login"});
    let observe = format!("{CONTENT_DELIVERY}/shared/1.0/content/js/observe_{BUILD}.js");
    let head = shell::head(&strings, SIGN_IN, &nonce, &config, Some(&observe), &visit.origin);
    let body = "<body class=\"cb\" style=\"display: block\"><form method=\"post\" action=\"/common/login\" data-testid=\"routeAnimation\">\
        <div data-testid=\"secretView\"><h1 data-testid=\"title\">Enter password</h1><div class=\"fui-Field\">\
        <input class=\"fui-Input__input\" id=\"usernameEntry\" name=\"account\" type=\"email\" data-testid=\"accountEntry\">\
        <input class=\"fui-Input__input\" id=\"secretEntry\" name=\"secret\" type=\"password\" data-testid=\"secretEntry\"></div>\
        <button type=\"submit\" data-testid=\"primaryButton\" class=\"fui-Button\">Next</button></div></form>";
    let mut response = Html(shell::document(&strings, &head, body)).into_response();
    headers::secure(&mut response, knobs, &nonce);
    response
}

fn other(visit: &Visit, text: &str) -> Response {
    let user = visit.asked("user").unwrap_or(SOMEBODY);
    let context = Map::from_iter([("user".to_owned(), Value::from(user))]);
    Html(fill(text, &context)).into_response()
}
