//! What Graph refuses although a careless client would expect an answer: each a rule of its reference or of a thread in
//! which its maintainers confirm it.

use super::*;

impl Lab {
    async fn eventually(&self, path: &str) -> Answer {
        let request = self.client.get(format!("{GRAPH}{path}")).bearer_auth(&self.token);
        let response = request.header("ConsistencyLevel", "eventual").send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        Answer { status, headers, body }
    }

    /// The same lab with another set of application permissions.
    async fn granted(self, permissions: &[&str]) -> Self {
        {
            let mut directory = self.running.sim.directory();
            let application = &mut directory.tenant_mut(self.tenant).unwrap().applications[0];
            application.permissions = permissions.iter().map(|name| (*name).to_owned()).collect();
        }
        let token = self.fresh_token().await;
        Self { token, ..self }
    }

    fn group(&self, name: &str) -> String {
        let directory = self.running.sim.directory();
        let tenant = directory.tenant(self.tenant).unwrap();
        tenant.groups.values().find(|group| group.display_name == name).unwrap().id.clone()
    }

    async fn request(&self, method: Method, path: &str, body: &str) -> reqwest::Response {
        let request = self.client.request(method, format!("{GRAPH}{path}")).bearer_auth(&self.token);
        request.header("Content-Type", "application/json").body(body.to_owned()).send().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_refused_whole_for_one_write_without_a_body() {
    let lab = Lab::contoso().await;
    let bob = lab.id_of("bob");
    let title = step("1", None, "PATCH", &format!("/users/{bob}"), json!({"jobTitle": "one"}));
    let revoke = |more: Value| {
        let mut revoke = json!({"id": "2", "method": "POST", "url": format!("/users/{bob}/revokeSignInSessions")});
        revoke.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"requests": [title, revoke]})
    };
    let headers = json!({"Content-Type": "application/json"});
    for refused in [
        json!({}),
        json!({"headers": headers}),
        json!({"body": {}}),
        json!({"body": {}, "headers": {"Content-Type": "text/plain"}}),
        json!({"body": {}, "headers": {"Content-Type": 1}}),
        json!({"body": {}, "headers": headers, "dependsOn": "1"}),
        json!({"body": {}, "headers": headers, "method": "post"}),
        json!({"body": {}, "headers": headers, "id": 2}),
    ] {
        let answer = lab.post("/$batch", revoke(refused.clone())).await;
        assert_eq!((answer.status, answer.code()), (400, "BadRequest"), "{refused}");
    }
    assert_eq!(
        lab.get(&format!("/users/{bob}?$select=jobTitle")).await.body["jobTitle"],
        Value::Null,
        "nothing was done"
    );
    let done = lab.post("/$batch", revoke(json!({"body": {}, "headers": headers}))).await;
    let ids: Vec<&str> =
        done.body["responses"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(statuses(&done), [200, 204]);
    assert_eq!(ids, ["2", "1"], "answers come in any order");
    assert_eq!(lab.post("/$batch", json!({"requests": []})).await.code(), "BadRequest");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_index_alone_answers_is_asked_for_as_such() {
    let lab = Lab::contoso().await;
    lab.make_account().await;
    let advanced = [
        "/users?$filter=endsWith(mail,'x')",
        "/users?$filter=accountEnabled ne true",
        "/users?$filter=not startsWith(displayName,'x')",
        "/users?$filter=companyName eq 'x'",
        "/users?$filter=startsWith(mobilePhone,'1')",
        "/users?$filter=onPremisesExtensionAttributes/extensionAttribute10 ge 'a'",
        "/users?$filter=onPremisesExtensionAttributes/extensionAttribute10 in ('a')",
        "/users?$filter=startsWith(displayName,'x')&$orderby=displayName",
        "/users?$orderby=createdDateTime",
        "/groups?$filter=membershipRule eq 'x'",
        "/users/bob@contoso.onmicrosoft.com/memberOf?$filter=displayName eq 'x'",
        "/users/bob@contoso.onmicrosoft.com/transitiveMemberOf/microsoft.graph.group?$select=id",
    ];
    for path in advanced {
        assert_eq!(lab.get(path).await.code(), "Request_UnsupportedQuery", "{path}");
        assert_eq!(lab.eventually(path).await.code(), "Request_UnsupportedQuery", "{path}: without $count");
        assert_eq!(lab.eventually(&format!("{path}&$count=true")).await.status, 200, "{path}");
    }
    for path in [
        "/users?$filter=contains(displayName,'x')",
        "/users?$filter=endsWith(displayName,'x')",
        "/users?$filter=startsWith(onPremisesExtensionAttributes/extensionAttribute10,'l')",
        "/users?$filter=onPremisesExtensionAttributes/extensionAttribute16 eq 'x'",
        "/users?$filter=lastPasswordChangeDateTime ge 2026-01-01T00:00:00Z",
        "/users?$filter=assignedLicenses/$count eq 0",
        "/users?$orderby=mail",
        "/users?$expand=memberOf&$filter=endsWith(mail,'x')",
        "/groups?$filter=createdDateTime ge 2026-01-01T00:00:00Z",
    ] {
        let answer = lab.eventually(&format!("{path}&$count=true")).await;
        assert_eq!((answer.status, answer.code()), (400, "Request_UnsupportedQuery"), "{path}");
    }
    for path in [
        "/users?$filter=accountEnabled eq 'true'",
        "/users?$filter=displayName eq x",
        "/users?$select=id,acountEnabled",
        "/users?$orderby=displayName,mail",
        "/users?$expand=nothing",
        "/users?$count=yes",
        "/organization?$select=nonsense",
        "/domains?$select=nonsense",
        "/users/bob@contoso.onmicrosoft.com/memberOf?$select=nonsense",
        "/roleManagement/directory/roleAssignments?$filter=principal eq",
    ] {
        assert_eq!(lab.get(path).await.status, 400, "{path}");
    }
    for search in ["displayName:bob", "\"bob\"", "\"nonsense:bob\""] {
        assert_eq!(lab.eventually(&format!("/users?$search={search}")).await.status, 400, "{search}");
    }
    let search = "/users?$search=\"displayName:bob\" OR \"displayName:jit\"";
    assert_eq!(lab.get(search).await.code(), "Request_UnsupportedQuery");
    assert_eq!(lab.eventually(search).await.body["value"].as_array().unwrap().len(), 3);
    let tag = "onPremisesExtensionAttributes/extensionAttribute10";
    let range = format!("/users?$filter={tag} ge 'latch' and {tag} le 'latchzz'&$count=true&$select=id");
    assert_eq!(lab.eventually(&range).await.body["@odata.count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_is_a_number_of_what_is_asked_for() {
    let lab = Lab::contoso().await;
    assert_eq!(lab.get("/users/$count").await.code(), "Request_BadRequest");
    let all = lab.eventually("/users/$count").await;
    assert!(all.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert_eq!(all.body.as_u64(), Some(lab.running.sim.directory().tenant(CONTOSO).unwrap().users.len() as u64));
    assert_eq!(lab.eventually("/users/$count?$filter=startsWith(displayName,'bob')").await.body, json!(1));
    assert_eq!(lab.eventually("/groups/$count").await.body, json!(5));
    let wrong: Vec<String> = lab.violations().await.into_iter().filter(|found| !found.contains(" 400 ")).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn values_have_the_types_and_lengths_of_their_properties() {
    let lab = Lab::contoso().await;
    let bob = format!("/users/{}", lab.id_of("bob"));
    for change in [
        json!({"jobTitle": 5}),
        json!({"accountEnabled": "true"}),
        json!({"displayName": ""}),
        json!({"displayName": null}),
        json!({"displayName": "x".repeat(257)}),
        json!({"mailNickname": "with space"}),
        json!({"mailNickname": "x".repeat(65)}),
        json!({"employeeId": "12345678901234567"}),
        json!({"usageLocation": "Germany"}),
        json!({"userType": "Admin"}),
        json!({"passwordPolicies": "NoRules"}),
        json!({"businessPhones": ["1", "2"]}),
        json!({"otherMails": "a@b.example"}),
        json!({"memberOf": []}),
        json!({"id": "1"}),
        json!({"createdDateTime": "2026-01-01T00:00:00Z"}),
        json!({"onPremisesExtensionAttributes": {"extensionAttribute16": "x"}}),
        json!({"onPremisesExtensionAttributes": {"extensionAttribute1": 1}}),
        json!({"onPremisesExtensionAttributes": {"extensionAttribute1": "x".repeat(1025)}}),
        json!({"userPrincipalName": 5}),
        json!({"userPrincipalName": "bob smith@contoso.com"}),
        json!({"passwordProfile": {"password": GOOD_PASSWORD, "forceChange": true}}),
        json!({"passwordProfile": {"password": GOOD_PASSWORD, "forceChangePasswordNextSignIn": "no"}}),
        json!({"acountEnabled": true}),
    ] {
        let answer = lab.patch(&bob, change.clone()).await;
        assert_eq!((answer.status, answer.code()), (400, "Request_BadRequest"), "{change}");
    }
    assert_eq!(
        lab.patch(&bob, json!({"passwordPolicies": "DisablePasswordExpiration, DisableStrongPassword"})).await.status,
        204
    );
    let members = format!("{bob}/getMemberObjects");
    assert_eq!(lab.post(&members, json!({})).await.status, 400, "securityEnabledOnly must be there");
    assert_eq!(lab.post(&members, json!({"securityEnabledOnly": false})).await.status, 200);
    let role = json!({
        "roleDefinitionId": GLOBAL_READER, "principalId": lab.id_of("bob"), "directoryScopeId": "/", "scope": "/",
    });
    assert_eq!(lab.post("/roleManagement/directory/roleAssignments", role).await.status, 400);
    assert_eq!(lab.request(Method::PATCH, &bob, "{\"jobTitle\": ").await.status(), 400);
    let unit = json!({
        "roleDefinitionId": GLOBAL_READER, "principalId": lab.id_of("bob"),
        "directoryScopeId": "/administrativeUnits/99999999-9999-4999-8999-999999999999",
    });
    assert_eq!(lab.post("/roleManagement/directory/roleAssignments", unit).await.status, 404, "no such unit");
    let elsewhere =
        json!({"@odata.id": format!("https://graph.example.com/v1.0/directoryObjects/{}", lab.id_of("bob"))});
    let project = format!("/groups/{}/members/$ref", lab.group("Project Alpha"));
    assert_eq!(lab.post(&project, elsewhere).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_made_and_nested_as_far_as_graph_lets_them() {
    let lab = Lab::contoso().await;
    let all = ["Group.ReadWrite.All", "RoleManagement.ReadWrite.Directory", "GroupMember.ReadWrite.All"];
    let lab = lab.granted(&all).await;
    let group = |change: Value| {
        let mut group = json!({"displayName": "G", "mailNickname": "g", "mailEnabled": false, "securityEnabled": true});
        group.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        group
    };
    for refused in [
        json!({"mailEnabled": true}),
        json!({"securityEnabled": false}),
        json!({"groupTypes": ["Special"]}),
        json!({"isAssignableToRole": true, "groupTypes": ["DynamicMembership"]}),
        json!({"isAssignableToRole": true, "securityEnabled": false, "mailEnabled": true, "groupTypes": ["Unified"]}),
        json!({"roleAssignable": true}),
        json!({"displayName": ""}),
    ] {
        assert_eq!(lab.post("/groups", group(refused.clone())).await.status, 400, "{refused}");
    }
    let bob = format!("{GRAPH}/users/{}", lab.id_of("bob"));
    let made = lab.post("/groups", group(json!({"isAssignableToRole": true, "members@odata.bind": [bob]}))).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert!(made.body["@odata.context"].as_str().unwrap().ends_with("$metadata#groups/$entity"));
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(lab.get(&format!("/groups/{id}/members")).await.body["value"][0]["id"], lab.id_of("bob"));
    let nested = json!({"@odata.id": format!("{GRAPH}/groups/{}", lab.group("Project Alpha"))});
    assert_eq!(lab.post(&format!("/groups/{id}/members/$ref"), nested).await.status, 400, "no nesting");
    assert_eq!(lab.patch(&format!("/groups/{id}"), json!({"isAssignableToRole": false})).await.status, 400);
    // Who may not read users learns that there is a member, and no name.
    assert_eq!(lab.get(&format!("/groups/{id}/members")).await.body["value"][0].get("displayName"), None);

    let lab = lab.granted(&["Group.ReadWrite.All"]).await;
    assert_eq!(lab.delete(&format!("/groups/{id}")).await.status, 403, "it may carry roles");
    let lab = lab.granted(&all).await;
    assert_eq!(lab.delete(&format!("/groups/{id}")).await.status, 204);
    assert_eq!(lab.get(&format!("/groups/{id}")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn little_permission_shows_little() {
    let lab = Lab::contoso().await.granted(&["User.ReadBasic.All"]).await;
    let bob = format!("/users/{}", lab.id_of("bob"));
    assert_eq!(lab.get(&bob).await.body.get("jobTitle"), None);
    assert_eq!(lab.get(&format!("{bob}?$select=accountEnabled")).await.status, 403);
    assert_eq!(lab.get("/users?$filter=accountEnabled eq true").await.status, 403);
    assert_eq!(lab.get(&format!("{bob}?$select=nonsense")).await.status, 400);
    let reset = format!("{bob}/authentication/methods/28c10230-6103-485e-b985-444c60001490/resetPassword");
    assert_eq!(lab.post(&reset, json!({})).await.status, 403, "not for applications");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_gives_her_name_free() {
    let lab = Lab::contoso().await;
    let user = lab.make_account().await;
    assert_eq!(lab.delete(&format!("/users/{user}")).await.status, 204);
    let name = lab.user_name("jit-alex");
    let deleted = lab.get("/directory/deletedItems/microsoft.graph.user").await;
    let shown = format!("{}{name}", user.replace('-', ""));
    assert_eq!(deleted.body["value"][0]["userPrincipalName"], shown.as_str());
    let restore = format!("/directory/deletedItems/{user}/restore");
    assert_eq!(lab.post(&restore, json!({"newName": "x"})).await.status, 400);
    assert_eq!(lab.post(&restore, json!({})).await.body["userPrincipalName"], name.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_links_lead_to_what_has_changed_since() {
    let lab = Lab::contoso().await;
    let path = |answer: &Answer, link: &str| {
        answer.body[link].as_str().unwrap_or_default().strip_prefix(GRAPH).unwrap_or_default().to_owned()
    };
    for refused in ["$top=5", "$expand=memberOf", "$orderby=displayName", "$filter=displayName eq 'x'"] {
        assert_eq!(lab.get(&format!("/users/delta?{refused}")).await.status, 400, "{refused}");
    }
    let first = lab.get("/users/delta?$select=id,jobTitle").await;
    let known = first.body["value"].as_array().unwrap().len();
    assert_eq!(known, lab.running.sim.directory().tenant(CONTOSO).unwrap().users.len());
    let link = path(&first, "@odata.deltaLink");
    let again = lab.get(&link).await;
    assert_eq!(again.body["value"], json!([]));

    let (bob, alice) = (lab.id_of("bob"), lab.id_of("alice"));
    assert_eq!(lab.patch(&format!("/users/{bob}"), json!({"jobTitle": "x"})).await.status, 204);
    assert_eq!(lab.delete(&format!("/users/{alice}")).await.status, 204);
    let changed = lab.get(&path(&again, "@odata.deltaLink")).await;
    let value = changed.body["value"].as_array().unwrap();
    assert!(value.contains(&json!({"id": bob, "jobTitle": "x"})), "{value:?}");
    assert!(value.contains(&json!({"id": alice, "@removed": {"reason": "changed"}})), "{value:?}");
    assert_eq!(lab.get(&link).await.body["value"].as_array().unwrap().len(), 2, "an older link shows more");
    let gone = lab.get("/users/delta?$deltatoken=long-ago").await;
    assert_eq!((gone.status, gone.code()), (410, "syncStateNotFound"));

    let latest = lab.get("/groups/delta?$deltatoken=latest").await;
    assert_eq!(latest.body["value"], json!([]));
    let project = lab.group("Project Alpha");
    let reference = json!({"@odata.id": format!("{GRAPH}/directoryObjects/{bob}")});
    assert_eq!(lab.post(&format!("/groups/{project}/members/$ref"), reference).await.status, 204);
    let joined = lab.get(&path(&latest, "@odata.deltaLink")).await;
    assert_eq!(joined.body["value"][0]["members@delta"][0]["id"], bob.as_str());
    assert_eq!(lab.delete(&format!("/groups/{project}/members/{bob}/$ref")).await.status, 204);
    let left = lab.get(&path(&joined, "@odata.deltaLink")).await;
    assert_eq!(left.body["value"][0]["members@delta"][0]["@removed"]["reason"], "deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn timed_assignments_are_five_minutes_long_and_can_be_tried_out() {
    let lab = Lab::start(NORTHWIND, Knobs::default()).await;
    let bob = lab.id_of("bob");
    let path = "/roleManagement/directory/roleAssignmentScheduleRequests";
    let request = |duration: &str, more: Value| {
        let mut request = json!({
            "action": "adminAssign", "principalId": bob, "roleDefinitionId": GLOBAL_READER, "directoryScopeId": "/",
            "justification": "ticket 4711",
            "scheduleInfo": {"expiration": {"type": "afterDuration", "duration": duration}},
        });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    assert_eq!(lab.post(path, request("PT4M", json!({}))).await.code(), "ActiveDurationTooShort");
    for no_duration in ["4:00:00", "4h", "14400"] {
        let code = "RoleAssignmentRequestPolicyValidationFailed";
        assert_eq!(lab.post(path, request(no_duration, json!({}))).await.code(), code, "{no_duration}");
    }
    assert_eq!(lab.post(path, request("PT4H", json!({"reason": "x"}))).await.status, 400);
    let tried = lab.post(path, request("PT4H", json!({"isValidationOnly": true}))).await;
    assert_eq!((tried.status, &tried.body["isValidationOnly"]), (201, &json!(true)));
    let schedules = "/roleManagement/directory/roleAssignmentSchedules";
    assert_eq!(lab.get(schedules).await.body["value"], json!([]), "only tried out");
    let made = lab.post(path, request("PT4H", json!({}))).await;
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(lab.get(&format!("{path}/{id}")).await.body["principalId"], bob.as_str());
    assert_eq!(lab.get(schedules).await.body["value"][0]["id"], made.body["targetScheduleId"]);
    let wrong: Vec<String> = lab.violations().await.into_iter().filter(|found| !found.contains(" 400 ")).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_changed_only_under_its_own_type() {
    let lab = Lab::contoso().await.granted(&["Policy.ReadWrite.AuthenticationMethod"]).await;
    let path = "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/TemporaryAccessPass";
    let kind = "#microsoft.graph.temporaryAccessPassAuthenticationMethodConfiguration";
    for refused in [
        json!({"state": "disabled"}),
        json!({"@odata.type": "#microsoft.graph.fido2AuthenticationMethodConfiguration", "state": "disabled"}),
        json!({"@odata.type": kind, "state": "off"}),
        json!({"@odata.type": kind, "maximumLifetimeInMinutes": 50_000}),
        json!({"@odata.type": kind, "minimumLifetimeInMinutes": 5}),
        json!({"@odata.type": kind, "defaultLength": 4}),
        json!({"@odata.type": kind, "lifetime": 60}),
    ] {
        assert_eq!(lab.patch(path, refused.clone()).await.status, 400, "{refused}");
    }
    assert_eq!(lab.patch(path, json!({"@odata.type": kind, "state": "disabled"})).await.status, 204);
    assert_eq!(lab.get(path).await.body["state"], "disabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_carry_the_headers_of_graph() {
    let lab = Lab::contoso().await;
    let answer = lab.get("/organization").await;
    assert_eq!(answer.headers["odata-version"], "4.0");
    assert!(answer.headers.contains_key("request-id") && answer.headers.contains_key("client-request-id"));
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/json;odata.metadata=minimal"));
    let nobody = lab.client.get(format!("{GRAPH}/users")).send().await.unwrap();
    assert_eq!(nobody.status(), 401);
    assert!(nobody.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer realm="));
    let error: Value = nobody.json().await.unwrap();
    let inner = &error["error"]["innerError"];
    assert!(inner["request-id"].is_string() && inner["client-request-id"].is_string() && inner["date"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_in_the_audit_log() {
    let lab = Lab::contoso().await;
    let user = lab.make_account().await;
    assert_eq!(lab.assign(&user).await.status, 201);
    assert_eq!(lab.patch(&format!("/users/{user}"), json!({"accountEnabled": true})).await.status, 403);
    let lab = lab.granted(&["AuditLog.Read.All", "Directory.Read.All"]).await;
    let log = lab.get("/auditLogs/directoryAudits").await;
    let activities: Vec<&str> =
        log.body["value"].as_array().unwrap().iter().map(|one| one["activityDisplayName"].as_str().unwrap()).collect();
    assert_eq!(activities, ["Add member to role", "Add user"], "the newest first, and no refusal");
    assert_eq!(log.body["value"][1]["initiatedBy"]["app"]["appId"], lab.client_id().as_str());
    let added = lab.get("/auditLogs/directoryAudits?$filter=activityDisplayName eq 'Add user'").await;
    assert_eq!(added.body["value"].as_array().unwrap().len(), 1);
}

/// Every answer to a read, and every kind of refusal, against Microsoft's own schema.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_and_every_refusal_has_the_shape_of_microsofts_schema() {
    let every: Vec<&str> = entra_sim::graph::permissions::APPLICATION.iter().map(|(name, _)| *name).collect();
    let lab = Lab::start(NORTHWIND, Knobs::default()).await.granted(&every).await;
    let bob = lab.id_of("bob");
    let user = format!("/users/{bob}");
    let project = lab.running.sim.directory().tenant(NORTHWIND).unwrap().groups.keys().next().unwrap().clone();
    let pass = format!("{user}/authentication/temporaryAccessPassMethods");
    assert_eq!(lab.post("/directoryRoles", json!({"roleTemplateId": GLOBAL_READER})).await.status, 201);
    let extension = json!({
        "@odata.type": "#microsoft.graph.openTypeExtension", "extensionName": "com.example.jit", "until": "today",
    });
    assert_eq!(lab.post(&format!("{user}/extensions"), extension).await.status, 201);
    let held = lab.assign(&bob).await.body["id"].as_str().unwrap().to_owned();
    let issued = lab.post(&pass, json!({})).await;
    let pass_id = issued.body["id"].as_str().unwrap_or("no-pass").to_owned();
    let object = {
        let directory = lab.running.sim.directory();
        let application = &directory.tenant(NORTHWIND).unwrap().applications[0];
        (application.object_id.clone(), application.service_principal_id.clone())
    };
    let (registration, principal) = (format!("/applications/{}", object.0), format!("/servicePrincipals/{}", object.1));
    let domain = lab.user_name("x").split_once('@').unwrap().1.to_owned();
    let reads = [
        "/organization".to_owned(),
        format!("/organization/{NORTHWIND}"),
        "/domains".to_owned(),
        format!("/domains/{domain}"),
        "/subscribedSkus".to_owned(),
        "/users".to_owned(),
        "/users?$expand=extensions,memberOf".to_owned(),
        "/users/delta".to_owned(),
        user.clone(),
        format!(
            "{user}?$select=id,accountEnabled,assignedLicenses,onPremisesExtensionAttributes,passwordPolicies,identities"
        ),
        format!("{user}/memberOf"),
        format!("{user}/memberOf/microsoft.graph.group"),
        format!("{user}/memberOf/microsoft.graph.directoryRole"),
        format!("{user}/transitiveMemberOf"),
        format!("{user}/transitiveMemberOf/microsoft.graph.directoryRole"),
        format!("{user}/extensions"),
        format!("{user}/extensions/com.example.jit"),
        format!("{user}/authentication/methods"),
        format!("{user}/authentication/passwordMethods"),
        pass.clone(),
        format!("{pass}/{pass_id}"),
        format!("{user}/authentication/fido2Methods"),
        "/directory/deletedItems/microsoft.graph.user".to_owned(),
        "/directoryRoles".to_owned(),
        "/directoryRoleTemplates".to_owned(),
        format!("/directoryRoles(roleTemplateId='{GLOBAL_READER}')"),
        format!("/directoryRoles/{GLOBAL_READER}/members"),
        "/roleManagement/directory/roleDefinitions".to_owned(),
        format!("/roleManagement/directory/roleDefinitions/{GLOBAL_READER}"),
        "/roleManagement/directory/roleAssignments".to_owned(),
        format!("/roleManagement/directory/roleAssignments?$filter=principalId eq '{bob}'&$expand=principal"),
        format!("/roleManagement/directory/roleAssignments?$filter=principalId eq '{bob}'&$expand=roleDefinition"),
        format!("/roleManagement/directory/roleAssignments/{held}"),
        "/roleManagement/directory/roleAssignmentScheduleRequests".to_owned(),
        "/roleManagement/directory/roleAssignmentScheduleInstances".to_owned(),
        "/roleManagement/directory/roleAssignmentSchedules".to_owned(),
        "/groups".to_owned(),
        "/groups/delta".to_owned(),
        format!("/groups/{project}"),
        format!("/groups/{project}/members"),
        format!("/groups/{project}/members/microsoft.graph.user"),
        format!("/groups/{project}/transitiveMembers"),
        format!("/groups/{project}/owners"),
        "/policies/authenticationMethodsPolicy".to_owned(),
        "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/TemporaryAccessPass".to_owned(),
        "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/Fido2".to_owned(),
        "/policies/identitySecurityDefaultsEnforcementPolicy".to_owned(),
        "/identity/conditionalAccess/policies".to_owned(),
        "/auditLogs/signIns".to_owned(),
        "/auditLogs/directoryAudits".to_owned(),
        "/applications".to_owned(),
        registration.clone(),
        "/servicePrincipals".to_owned(),
        principal.clone(),
        "/servicePrincipals(appId='00000003-0000-0000-c000-000000000000')".to_owned(),
        format!("{principal}/appRoleAssignments"),
        format!("{principal}/appRoleAssignedTo"),
        "/oauth2PermissionGrants".to_owned(),
    ];
    for path in &reads {
        let answer = lab.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(answer.body["@odata.context"].as_str().is_some_and(|it| it.starts_with(GRAPH)), "{path}");
    }
    let nobody = "99999999-9999-4999-8999-999999999999";
    for path in [
        format!("/organization/{nobody}"),
        "/domains/nowhere.example".to_owned(),
        format!("/users/{nobody}"),
        format!("/users/{nobody}/memberOf"),
        format!("{user}/extensions/com.example.none"),
        format!("{pass}/{nobody}"),
        format!("{user}/authentication/fido2Methods/{nobody}"),
        format!("/directory/deletedItems/{nobody}"),
        format!("/directoryRoles/{nobody}"),
        format!("/roleManagement/directory/roleDefinitions/{nobody}"),
        format!("/roleManagement/directory/roleAssignments/{nobody}"),
        format!("/roleManagement/directory/roleAssignmentScheduleRequests/{nobody}"),
        format!("/groups/{nobody}"),
        format!("/groups/{nobody}/members"),
        "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/None".to_owned(),
        format!("/applications/{nobody}"),
        format!("/servicePrincipals/{nobody}"),
    ] {
        let answer = lab.get(&path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
        assert!(answer.body["error"]["innerError"]["request-id"].is_string(), "{path}");
    }
    lab.fault(json!([
        {"match": {"nth": 1}, "kind": "status", "status": 429, "retry_after": 7},
        {"match": {"nth": 2}, "kind": "status", "status": 503},
        {"match": {"nth": 3}, "kind": "status", "status": 409},
    ]));
    for _ in 0..3 {
        assert!(lab.get(&user).await.status > 400);
    }
    let nothing = lab.granted(&[]).await;
    assert_eq!(nothing.get(&user).await.status, 403);
    let wrong: Vec<String> = nothing.violations().await;
    assert_eq!(wrong, Vec::<String>::new());
}
