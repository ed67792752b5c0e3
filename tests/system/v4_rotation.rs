//! New passwords on devices, against a device made by hand: it says exactly what a test wants, and loses what a test
//! wants to be lost.

use aerie_protocol::inform::{
    HeldPassword, Passwords, Refusal, RefusalReason, Reply, SetPassword, from_appliance,
    from_device, reply, request,
};
use aerie_protocol::noise::{PublicKey, StaticKey};
use aerie_tests::{
    Appliance, ApplianceOptions, Owner, PATIENCE, RawDevice, hello, mac_of, on_small_disk, until,
};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const ACCOUNT: &str = "admin";

/// An enrolled device, and what its account has.
struct Router {
    own: StaticKey,
    appliance: PublicKey,
    id: String,
    held: Vec<HeldPassword>,
    session: Option<RawDevice>,
}

fn untouched() -> HeldPassword {
    HeldPassword { account: ACCOUNT.to_owned(), ..HeldPassword::default() }
}

fn greeting(own: &StaticKey, held: &[HeldPassword]) -> from_device::Body {
    let from_device::Body::Hello(mut said) = hello("router", mac_of(own)) else {
        unreachable!("a hello")
    };
    said.passwords = held.to_vec();
    from_device::Body::Hello(said)
}

impl Router {
    async fn enrolled(appliance: &Appliance, owner: &Owner, held: Vec<HeldPassword>) -> Self {
        let own = StaticKey::generate().expect("a key");
        let mut session = RawDevice::first_contact(appliance.inform(), &owner.key, &own)
            .await
            .expect("a session");
        session.say(greeting(&own, &held)).await;
        let id = owner.admit_one().await;
        session.enrolled().await;
        let appliance = session.appliance();
        Self { own, appliance, id, held, session: Some(session) }
    }

    async fn comes_back(&mut self, appliance: &Appliance) {
        let session = RawDevice::reconnect(appliance.inform(), &self.appliance, &self.own).await;
        let mut session = session.expect("a session");
        session.say(greeting(&self.own, &self.held)).await;
        self.session = Some(session);
    }

    fn goes(&mut self) {
        self.session = None;
    }

    /// The next password that it is to set, and the request's id.
    async fn is_told(&mut self) -> (u64, SetPassword) {
        let wanted = |body: &from_appliance::Body| match body {
            from_appliance::Body::Request(request) => match &request.verb {
                Some(request::Verb::SetPassword(set)) => Some((request.request_id, set.clone())),
                _ => None,
            },
            _ => None,
        };
        let session = self.session.as_mut().expect("it is there");
        session.hear_until(wanted).await.expect("a password to set")
    }

    fn takes(&mut self, set: &SetPassword) {
        self.held = vec![HeldPassword {
            account: set.account.clone(),
            credential_id: set.credential_id.clone(),
            version: set.version,
            newest: set.version,
            sealed: Vec::new(),
        }];
    }

    async fn replies(&mut self, request_id: u64, outcome: reply::Outcome) {
        let reply = Reply { request_id, outcome: Some(outcome) };
        let session = self.session.as_mut().expect("it is there");
        session.say(from_device::Body::Reply(reply)).await;
    }

    async fn proves(&mut self, request_id: u64) {
        let held = self.held.clone();
        self.replies(request_id, reply::Outcome::Passwords(Passwords { held })).await;
    }
}

fn text(set: &SetPassword) -> String {
    String::from_utf8(set.password.clone()).expect("UTF-8")
}

async fn make_vault(owner: &Owner) -> String {
    let made = owner
        .client
        .post("/vault/credentials", json!({"isVaultEnabled": true}))
        .await
        .expect(200)
        .json();
    made["passphrase"].as_str().expect("a master password").to_owned()
}

async fn rotate(owner: &Owner, device: &str) -> String {
    owner.step_up().await;
    let body = json!({"deviceIds": [device], "accounts": [ACCOUNT]});
    let job = owner.client.post("/vault/rotations", body).await.expect(201).json();
    job["id"].as_str().expect("an id").to_owned()
}

async fn job_is(owner: &Owner, job: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until("the job is as wanted", async || {
        let now = owner.client.get(&format!("/jobs/{job}")).await.expect(200).json();
        wanted(&now).then_some(now)
    })
    .await
}

async fn item(owner: &Owner, job: &str) -> Value {
    let page = owner.client.get(&format!("/jobs/{job}/items")).await.expect(200).json();
    page["items"][0].clone()
}

async fn record(owner: &Owner, device: &str) -> Value {
    let page =
        owner.client.get(&format!("/vault/records?deviceId={device}")).await.expect(200).json();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "{page}");
    page["items"][0].clone()
}

async fn revealed(owner: &Owner, record: &Value) -> String {
    owner.step_up().await;
    let path = format!("/vault/records/{}/reveal", record["id"].as_str().expect("an id"));
    let shown = owner.client.post(&path, json!({})).await.expect(200).json();
    shown["password"].as_str().expect("a password").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_a_new_password_is_kept_before_the_device_hears_of_it_and_counts_once_it_is_proven() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let mut router = Router::enrolled(&appliance, &owner, vec![untouched()]).await;
    let id = router.id.clone();
    let body = json!({"deviceIds": [id], "accounts": [ACCOUNT]});
    let refused = owner.client.post("/vault/rotations", body).await.expect(412);
    assert_eq!(refused.json()["error"], "VaultNotMade");
    make_vault(&owner).await;
    // Sealed or not is all the same to a rotation.
    owner.client.post("/vault/credentials/lock", json!({})).await.expect(200);

    let job = rotate(&owner, &id).await;
    let (request, set) = router.is_told().await;
    assert_eq!((set.account.as_str(), set.version, text(&set).chars().count()), (ACCOUNT, 1, 20));
    let before = record(&owner, &id).await;
    assert_eq!((&before["candidates"], &before["version"]), (&json!(1), &Value::Null), "{before}");
    router.takes(&set);
    router.proves(request).await;
    let done = job_is(&owner, &job, |job| job["state"] == "done").await;
    assert_eq!((&done["counts"]["done"], &done["by"]["username"]), (&json!(1), &json!("owner")));
    let after = record(&owner, &id).await;
    assert_eq!(
        (&after["candidates"], &after["version"], &after["source"]),
        (&json!(0), &json!(1), &json!("generated"))
    );
    let audit = owner
        .client
        .get("/nms/audit?what=rotation-started&what=rotation-ended")
        .await
        .expect(200)
        .json();
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(2), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_a_lost_reply_is_made_good_when_the_device_is_back_even_after_a_crash() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let words = make_vault(&owner).await;
    let mut router = Router::enrolled(&appliance, &owner, vec![untouched()]).await;
    let id = router.id.clone();

    let job = rotate(&owner, &id).await;
    let (_, first) = router.is_told().await;
    router.takes(&first);
    router.goes();
    job_is(&owner, &job, |job| job["waitsFor"] == "devices").await;
    assert_eq!(item(&owner, &job).await["state"], "offline");
    router.comes_back(&appliance).await;
    job_is(&owner, &job, |job| job["state"] == "done").await;
    assert_eq!(item(&owner, &job).await["attempts"], 1, "nothing was set twice");
    let kept = record(&owner, &id).await;
    assert_eq!(revealed(&owner, &kept).await, text(&first));

    // The same once more, and the appliance is killed while the device is away. Its vault is sealed then.
    let job = rotate(&owner, &id).await;
    let (_, second) = router.is_told().await;
    router.takes(&second);
    router.goes();
    appliance.kill().await;
    appliance.start_again().await;
    let owner = appliance.log_in().await;
    router.comes_back(&appliance).await;
    job_is(&owner, &job, |job| job["state"] == "done").await;
    let kept = record(&owner, &id).await;
    assert_eq!((&kept["version"], &kept["candidates"]), (&json!(2), &json!(0)));
    owner.client.post("/vault/credentials/unlock", json!({"passphrase": words})).await.expect(200);
    assert_eq!(revealed(&owner, &kept).await, text(&second));

    // It comes back as it was before the second one: somebody restored it.
    router.goes();
    router.takes(&first);
    router.comes_back(&appliance).await;
    owner.logged("came back with an older password of admin").await;
    let kept = record(&owner, &id).await;
    assert_eq!((&kept["version"], &kept["trouble"]), (&json!(1), &json!("older-password")));
    assert_eq!(revealed(&owner, &kept).await, text(&first));

    // Somebody sets another one on the device itself.
    router.goes();
    router.held = vec![untouched()];
    router.comes_back(&appliance).await;
    owner.logged("was changed on router itself").await;
    assert_eq!(record(&owner, &id).await["trouble"], "changed-on-device");

    // The next rotation mends both, above every version that there was.
    let job = rotate(&owner, &id).await;
    let (request, third) = router.is_told().await;
    assert_eq!(third.version, 3);
    router.takes(&third);
    router.proves(request).await;
    job_is(&owner, &job, |job| job["state"] == "done").await;
    let kept = record(&owner, &id).await;
    assert_eq!((&kept["version"], &kept["trouble"]), (&json!(3), &json!("")));
    assert_eq!(revealed(&owner, &kept).await, text(&third));
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_what_an_older_vault_does_not_know_is_taken_back_from_the_device() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    make_vault(&owner).await;
    let mut router = Router::enrolled(&appliance, &owner, vec![untouched()]).await;
    let id = router.id.clone();
    let job = rotate(&owner, &id).await;
    let (request, set) = router.is_told().await;
    router.takes(&set);
    router.proves(request).await;
    job_is(&owner, &job, |job| job["state"] == "done").await;
    let kept = record(&owner, &id).await;

    // The list of credentials is as it was before that: the credential is not in it.
    owner.step_up().await;
    let path = format!("/vault/records/{}", kept["id"].as_str().expect("an id"));
    owner.client.delete(&path).await;
    router.goes();
    router.comes_back(&appliance).await;
    let wanted = |body: &from_appliance::Body| match body {
        from_appliance::Body::Request(request) => {
            matches!(request.verb, Some(request::Verb::HeldPasswords(_)))
                .then_some(request.request_id)
        }
        _ => None,
    };
    let session = router.session.as_mut().expect("it is there");
    let asked = session.hear_until(wanted).await.expect("a question");
    let mut held = router.held.clone();
    held[0].sealed.clone_from(&set.sealed);
    router.replies(asked, reply::Outcome::Passwords(Passwords { held })).await;
    owner.logged("has a newer password of admin than the vault knew").await;
    let back = record(&owner, &id).await;
    assert_eq!((&back["id"], &back["candidates"]), (&kept["id"], &json!(1)));
    owner.step_up().await;
    let shown = owner
        .client
        .post(&format!("{path}/reveal"), json!({"version": set.version}))
        .await
        .expect(200);
    assert_eq!(shown.json()["password"], text(&set));
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_a_device_that_does_not_allow_it_says_what_to_do_and_may_be_tried_again() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    make_vault(&owner).await;
    let mut router = Router::enrolled(&appliance, &owner, Vec::new()).await;
    let id = router.id.clone();
    let job = rotate(&owner, &id).await;
    let done = job_is(&owner, &job, |job| job["state"] == "done").await;
    assert_eq!(done["counts"]["failed"], 1);
    let message = item(&owner, &job).await["message"].as_str().expect("a message").to_owned();
    assert!(
        message.contains("[passwords]") && message.contains("accounts = [\"admin\"]"),
        "{message}"
    );

    // Its file is changed, and it is asked again: this time it says no in words.
    router.held = vec![untouched()];
    router.goes();
    router.comes_back(&appliance).await;
    until("the device allows it", async || {
        let device = owner.client.get(&format!("/devices/{id}/detail")).await.expect(200).json();
        (device["aerie"]["passwordAccounts"] == json!([ACCOUNT])).then_some(())
    })
    .await;
    owner.step_up().await;
    owner.client.post(&format!("/jobs/{job}/retry"), json!({})).await.expect(200);
    let (request, set) = router.is_told().await;
    let refusal = Refusal { reason: RefusalReason::NotAllowed.into(), detail: "locked".to_owned() };
    router.replies(request, reply::Outcome::Refusal(refusal)).await;
    job_is(&owner, &job, |job| job["state"] == "done").await;
    assert!(
        item(&owner, &job).await["message"].as_str().is_some_and(|said| said.contains("(locked)"))
    );
    assert_eq!(record(&owner, &id).await["candidates"], 0, "it was not taken, in so many words");

    // And once more: what the device was sent is never sent again.
    owner.step_up().await;
    owner.client.post(&format!("/jobs/{job}/retry"), json!({})).await.expect(200);
    let (request, next) = router.is_told().await;
    assert!(next.version > set.version && next.password != set.password);
    router.takes(&next);
    router.proves(request).await;
    job_is(&owner, &job, |job| job["counts"]["done"] == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_a_job_waits_for_devices_that_are_away_until_it_is_cancelled() {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    make_vault(&owner).await;
    let mut router = Router::enrolled(&appliance, &owner, vec![untouched()]).await;
    let id = router.id.clone();
    router.goes();
    owner.sees_status(&id, "disconnected").await;
    let job = rotate(&owner, &id).await;
    job_is(&owner, &job, |job| job["waitsFor"] == "devices" && job["state"] == "paused").await;
    let cancelled =
        owner.client.post(&format!("/jobs/{job}/cancel"), json!({})).await.expect(200).json();
    assert_eq!(cancelled["state"], "cancelled");
    job_is(&owner, &job, |job| job["endedAt"].is_string() && job["counts"]["cancelled"] == 1).await;
    owner.client.post(&format!("/jobs/{job}/cancel"), json!({})).await.expect(409);
    let list = owner.client.get("/jobs").await.expect(200).json();
    assert_eq!(list["items"][0]["id"], json!(job));

    let refused = |body: Value| {
        let client = owner.client.clone();
        async move { client.post("/vault/rotations", body).await.expect(400).text() }
    };
    assert!(refused(json!({"accounts": [ACCOUNT]})).await.contains("deviceIds, siteId or all"));
    assert!(refused(json!({"all": true, "accounts": ["a\nb"]})).await.contains("1 to 16 names"));
    assert!(
        refused(json!({"all": true, "accounts": [ACCOUNT], "length": 11}))
            .await
            .contains("12 to 128")
    );
    assert!(
        refused(json!({"all": true, "accounts": [ACCOUNT], "parallel": 65}))
            .await
            .contains("1 to 64")
    );
    let stranger =
        json!({"deviceIds": ["00000000-0000-4000-8000-000000000000"], "accounts": [ACCOUNT]});
    owner.client.post("/vault/rotations", stranger).await.expect(404);
}

#[tokio::test]
async fn v4_what_was_granted_to_a_job_that_never_was_ends_with_the_next_start() {
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    owner.make_vault().await;
    let router = Router::enrolled(&appliance, &owner, vec![untouched()]).await;
    let grants = |appliance: &Appliance| {
        let names = std::fs::read_dir(appliance.data().join("vault")).expect("a directory");
        let names = names.map(|entry| entry.expect("an entry").file_name().into_string());
        let names = names.map(|name| name.expect("UTF-8"));
        names.filter(|name| name.starts_with("grant-")).count()
    };
    appliance.kill().await;
    appliance.cut_at(Some("job-granted:1".to_owned()));
    appliance.start_again().await;
    owner.step_up().await;
    let body = json!({"deviceIds": [router.id], "accounts": [ACCOUNT]});
    assert!(owner.client.try_post("/vault/rotations", body).await.is_none(), "it was not cut");
    assert!(appliance.is_cut_within(PATIENCE).await);
    assert_eq!(grants(&appliance), 1, "granted, and no job");
    appliance.cut_at(None);
    appliance.start_again().await;
    assert_eq!(grants(&appliance), 0);
    let jobs = owner.client.get("/jobs").await.expect(200).json();
    assert_eq!(jobs["items"], json!([]));
}

/// Writes until the disk takes no more.
fn fill(disk: &Path) -> PathBuf {
    let file = disk.join("filler");
    let mut filler = File::create(&file).expect("a file");
    for size in [1 << 16, 1] {
        while filler.write_all(&vec![0; size]).is_ok() {}
    }
    file
}

#[test]
fn v4_a_disk_that_is_full_in_the_middle_loses_no_password() {
    let test = "v4_rotation::v4_a_disk_that_is_full_in_the_middle_loses_no_password";
    on_small_disk(test, 32, async |folder| {
        let mut appliance = Appliance::start_in(folder, ApplianceOptions::default()).await;
        let owner = appliance.set_up().await;
        let words = make_vault(&owner).await;
        let mut router = Router::enrolled(&appliance, &owner, vec![untouched()]).await;
        let id = router.id.clone();
        let job = rotate(&owner, &id).await;
        let (request, set) = router.is_told().await;

        // The device has it, and nothing can be written down any more.
        let filler = fill(&appliance.data());
        router.takes(&set);
        router.proves(request).await;
        // The next one is refused in words, or the daemon has ended to be started anew.
        let body = json!({"deviceIds": [id], "accounts": [ACCOUNT]});
        if let Some(refused) = owner.client.try_post("/vault/rotations", body).await {
            assert!(refused.status >= 500, "{}", refused.text());
            println!("refused: {}", refused.text());
        }

        std::fs::remove_file(filler).expect("removed");
        appliance.kill().await;
        appliance.start_again().await;
        let owner = appliance.log_in().await;
        router.comes_back(&appliance).await;
        job_is(&owner, &job, |job| job["state"] == "done").await;
        let kept = record(&owner, &id).await;
        assert_eq!((&kept["version"], &kept["candidates"]), (&json!(1), &json!(0)), "{kept}");
        let body = json!({"passphrase": words});
        owner.client.post("/vault/credentials/unlock", body).await.expect(200);
        assert_eq!(revealed(&owner, &kept).await, text(&set));
        // And it goes on.
        let job = rotate(&owner, &id).await;
        let (request, set) = router.is_told().await;
        router.takes(&set);
        router.proves(request).await;
        job_is(&owner, &job, |job| job["state"] == "done").await;
        let kept = record(&owner, &id).await;
        assert_eq!(revealed(&owner, &kept).await, text(&set));
    });
}
