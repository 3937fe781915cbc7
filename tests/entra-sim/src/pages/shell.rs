//! The document that every sign-in page arrives as: a head full of `meta`, `$Config` inline under a nonce, one script
//! from the content delivery network, an empty hidden body. No form and no input: the script makes them after `load`.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::headers;
use super::knobs::{Layout, PageKnobs, Theme};
use super::session::Transaction;
use super::strings::Strings;
use super::template::escaped;
use super::visit::Visit;
use crate::directory::{Branding, Tenant};

/// Part of every script's name, as the real ones carry a hash.
pub(super) const BUILD: &str = "ftLkZ1sOQ2S8mTqv0b4x7g2";
/// Where scripts and styles come from.
pub(super) const CONTENT_DELIVERY: &str = "https://aadcdn.msauth.net";

/// What differs from page to page.
#[derive(Debug)]
pub(super) struct Page {
    /// PageID.
    pub(super) id: &'static str,
    /// Template of the first view; `credential` lets the page choose by its GetCredentialType result.
    pub(super) view: &'static str,
    /// AADSTS number shown.
    pub(super) error: Option<u32>,
    /// The sentence shown, when it is not the one of `error`.
    pub(super) message: Option<String>,
    /// User name already known.
    pub(super) user: String,
    /// Where the form goes.
    pub(super) post_to: String,
    /// More members of `$Config`.
    pub(super) config: Map<String, Value>,
    /// What the view is filled with besides the usual.
    pub(super) context: Map<String, Value>,
    /// Status of the response.
    pub(super) status: StatusCode,
}

impl Page {
    /// A page with one view, which posts to `post_to`.
    #[must_use]
    pub(super) fn new(id: &'static str, view: &'static str, post_to: impl Into<String>) -> Self {
        Self {
            id,
            view,
            error: None,
            message: None,
            user: String::new(),
            post_to: post_to.into(),
            config: Map::new(),
            context: Map::new(),
            status: StatusCode::OK,
        }
    }

    /// `hpgid` and `hpgact` of captured pages.
    fn numbers(&self) -> (u32, u32) {
        match self.id {
            "ConvergedTFA" => (1114, 2202),
            "KmsiInterrupt" => (1115, 2005),
            "ConvergedProofUpRedirect" => (1121, 2000),
            _ => (1104, 1800),
        }
    }
}

/// The tenant as far as pages show it.
#[derive(Clone, Debug, Default)]
pub(super) struct ShownTenant {
    /// Directory id, when the URL names a known tenant.
    pub(super) id: Option<String>,
    /// Name shown to people.
    pub(super) name: String,
    /// Texts of its own.
    pub(super) branding: Branding,
    /// Host suffix of its cloud.
    pub(super) cloud: &'static str,
}

impl ShownTenant {
    /// What to show of a tenant.
    #[must_use]
    pub(super) fn of(tenant: Option<&Tenant>) -> Self {
        tenant.map_or_else(Self::default, |tenant| Self {
            id: Some(tenant.id.clone()),
            name: tenant.display_name.clone(),
            branding: tenant.branding.clone(),
            cloud: tenant.cloud.authority_host().trim_start_matches("login."),
        })
    }

    /// Its branding, when the page is to show any.
    #[must_use]
    pub(super) fn shown_branding(&self, knobs: &PageKnobs) -> Option<Branding> {
        let has_any = self.branding.boilerplate.is_some()
            || self.branding.user_name_hint.is_some()
            || self.branding.background.is_some();
        knobs.branding.unwrap_or(has_any).then(|| self.branding.clone())
    }
}

/// A whole page of a transaction.
#[must_use]
pub(super) fn respond(
    visit: &Visit,
    knobs: &PageKnobs,
    tenant: &ShownTenant,
    transaction: &Transaction,
    page: Page,
) -> Response {
    let strings = Strings::of(&transaction.language);
    let nonce = headers::nonce();
    let config = config(visit, knobs, tenant, transaction, &strings, &page);
    let script = match (knobs.future, page.id) {
        (true, "ConvergedSignIn") => format!("{CONTENT_DELIVERY}/shared/1.0/content/js/FluentSignIn_{BUILD}.js"),
        _ => format!("{CONTENT_DELIVERY}/shared/1.0/content/js/ConvergedLogin_PCore_{BUILD}.js"),
    };
    let head = head(&strings, page.id, &nonce, &config, Some(&script), &visit.origin);
    let document = document(&strings, &head, &format!("{BODY_START}{}", frame_buster(&nonce)));
    let mut response = (page.status, Html(document)).into_response();
    headers::secure(&mut response, knobs, &nonce);
    response
}

/// The opening tag of a body that Knockout has not touched.
pub(super) const BODY_START: &str =
    r#"<body data-bind="defineGlobals: ServerData, bodyCssClass" class="cb" style="display: none">"#;

/// Shows the body unless the page is framed.
#[must_use]
pub(super) fn frame_buster(nonce: &str) -> String {
    format!(
        r#"<script type="text/javascript" nonce="{nonce}">//<![CDATA[
!function(){{var t=window,e=document.body;t.self===t.top?e.style.display="block":t.$Config.allowFrame||(t.top.location=t.self.location+(t.self.location.search?"&":"?")+"iframe-request-id="+t.$Config.sessionId)}}();
//]]></script>"#
    )
}

/// The head. The script is left out for pages that stay as the server sent them.
#[must_use]
pub(super) fn head(
    strings: &Strings,
    page_id: &str,
    nonce: &str,
    config: &Value,
    script: Option<&str>,
    origin: &str,
) -> String {
    let title = match page_id {
        "BssoInterrupt" => strings.word("redirecting"),
        _ => strings.word("title"),
    };
    let script = script.map_or_else(String::new, |address| {
        format!(
            r#"<script data-loader="cdn" crossorigin="anonymous" src="{}" nonce="{nonce}"></script>"#,
            escaped(address)
        )
    });
    format!(
        r#"<head>
    <title>{title}</title>
    <meta http-equiv="Content-Type" content="text/html; charset=UTF-8">
    <meta http-equiv="X-UA-Compatible" content="IE=edge">
    <meta name="viewport" content="width=device-width, initial-scale=1.0, maximum-scale=2.0, user-scalable=yes">
    <meta http-equiv="Pragma" content="no-cache">
    <meta http-equiv="Expires" content="-1">
    <meta name="PageID" content="{page_id}" />
    <meta name="SiteID" content="" />
    <meta name="ReqLC" content="{lcid}" />
    <meta name="LocLC" content="{locale}" />
    <meta name="referrer" content="origin" />
    <meta name="robots" content="none" />
    <noscript><meta http-equiv="Refresh" content="0; URL={origin}/jsdisabled" /></noscript>
    <link rel="icon" type="image/svg+xml" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E">
    <script type="text/javascript" nonce="{nonce}">//<![CDATA[
$Config={config};
//]]></script>
    <script type="text/javascript" nonce="{nonce}">//<![CDATA[
ServerData = $Config;
//]]></script>
    <link data-loader="cdn" crossorigin="anonymous" href="{CONTENT_DELIVERY}/ests/2.1/content/cdnbundles/converged.v2.login.min_{BUILD}.css" rel="stylesheet" />
    {script}
</head>"#,
        title = escaped(&title),
        lcid = strings.word("lcid"),
        locale = strings.word("locale"),
        config = script_json(config),
    )
}

/// Puts head and body together; the copyright comment stands before the doctype.
#[must_use]
pub(super) fn document(strings: &Strings, head: &str, body: &str) -> String {
    format!(
        "<!-- Copyright (C) Microsoft Corporation. All rights reserved. -->\n<!DOCTYPE html>\n<html dir=\"{}\" class=\"\" \
         lang=\"{}\">\n{head}\n{body}\n</body>\n</html>\n",
        strings.word("dir"),
        strings.word("language"),
    )
}

/// JSON that may stand inside a script element.
#[must_use]
pub(super) fn script_json(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// `$Config`.
#[must_use]
pub(super) fn config(
    visit: &Visit,
    knobs: &PageKnobs,
    tenant: &ShownTenant,
    transaction: &Transaction,
    strings: &Strings,
    page: &Page,
) -> Value {
    let branding = tenant.shown_branding(knobs);
    let segment = post_segment(transaction, tenant);
    let (page_number, page_action) = page.numbers();
    let origin = &visit.origin;
    let ctx = &transaction.id;
    let error_text =
        page.message.clone().or_else(|| page.error.map(|number| strings.error(number))).unwrap_or_default();
    let user_label = branding
        .as_ref()
        .and_then(|branding| branding.user_name_hint.clone())
        .unwrap_or_else(|| strings.word("usernamePlaceholder"));
    let about_page = json!({
        "fShowPersistentCookiesWarning": false,
        "pgid": page.id,
        "hpgid": page_number,
        "hpgact": page_action,
        "sErrorCode": page.error.map_or_else(|| "50058".to_owned(), |number| number.to_string()),
        "sErrTxt": error_text,
        "arrValErrs": [],
        "sPOST_Username": page.user,
        "arrSessions": [],
        "fKMSIEnabled": false,
        "iAllowedIdentities": if tenant.id.is_some() { 1 } else { 2 },
        "fAccessPassSupported": true,
        "fShowAccessPassPeek": true,
        "fIsFidoSupported": true,
        "fIsPasskeySupportEnabled": true,
        "fAllowSkypeNameLogin": true,
        "desktopSsoConfig": {
            "isEdgeAnaheimAllowed": true,
            "iwaEndpointUrlFormat": "https://autologon.microsoftazuread-sso.com/{0}/winauth/sso",
        },
        "sCloudInstanceName": if tenant.cloud.is_empty() { "microsoftonline.com" } else { tenant.cloud },
        "sCompanyDisplayName": tenant.name,
    });
    let addresses = json!({
        "urlPost": page.post_to,
        "urlPostAad": "/common/login",
        "urlPostMsa": "https://login.live.com/ppsecure/partnerpost.srf",
        "urlGetCredentialType": format!("{origin}/common/GetCredentialType?mkt={}", strings.word("locale")),
        "urlGetOneTimeCode": format!("{origin}/common/GetOneTimeCode"),
        "urlBeginAuth": format!("{origin}/common/SAS/BeginAuth"),
        "urlEndAuth": format!("{origin}/common/SAS/EndAuth"),
        "urlFidoLogin": format!("https://login.microsoft.com/{segment}/fido/get"),
        "urlLogin": format!("{origin}/{segment}/reprocess?ctx={ctx}"),
        "urlRefresh": format!("{origin}/{segment}/reprocess?ctx={ctx}"),
        "urlResume": format!("{origin}/{segment}/resume?ctx={ctx}"),
        "urlCancel": transaction.began_at,
        "urlLogout": format!("{origin}/common/uxlogout"),
        "urlForget": format!("{origin}/forgetuser"),
        "urlResetPassword": "https://passwordreset.microsoftonline.com/",
        "urlCdn": CONTENT_DELIVERY,
    });
    let secrets = json!({
        "sFT": transaction.flow_token,
        "sFTName": "flowToken",
        "sCtx": transaction.id,
        "canary": transaction.canary,
        "apiCanary": transaction.api_canary,
        "sessionId": transaction.request_id,
        "correlationId": Uuid::new_v4().to_string(),
    });
    let shown_branding = branding.as_ref().map(|branding| {
        json!([{
            "Locale": 0,
            "BannerLogo": "",
            "TileLogo": "",
            "Illustration": "",
            "BackgroundColor": branding.background,
            "BoilerPlateText": branding.boilerplate,
            "UserIdLabel": branding.user_name_hint,
            "KeepMeSignedInDisabled": branding.keep_me_signed_in_disabled,
            "UseTransparentLightBox": false,
        }])
    });
    let looks = json!({
        "dynamicTenantBranding": null,
        "staticTenantBranding": shown_branding,
        "sUserIdLabel": user_label,
        "oStrings": strings.as_value(),
        "oTimings": {"load": knobs.delay_ms, "overlap": knobs.overlap_ms},
        "oView": page.context,
        "sDefaultView": page.view,
        "fStrictBindings": knobs.strict_bindings,
        "fVerticalSplit": knobs.layout == Layout::Vertical,
        "fDarkTheme": knobs.theme == Theme::Dark,
        "fStill": knobs.reduced_motion,
        "sBuild": BUILD,
    });
    let parts = [about_page, addresses, secrets, looks, Value::Object(page.config.clone())];
    Value::Object(parts.into_iter().filter_map(|part| part.as_object().cloned()).flatten().collect())
}

/// First segment of the POST's path: the tenant's id when it is known, else `common`.
#[must_use]
pub(super) fn post_segment(transaction: &Transaction, tenant: &ShownTenant) -> String {
    match &tenant.id {
        Some(id) => id.clone(),
        None if transaction.tenant == "consumers" => "consumers".to_owned(),
        None => "common".to_owned(),
    }
}
