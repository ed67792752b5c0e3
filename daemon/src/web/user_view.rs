//! An account as the published API shows it.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::ApiError;
use super::views::{Time, filled};
use crate::accounts::{Accounts, Due, Login, Person, Role};

/// An account.
#[expect(clippy::struct_excessive_bools, reason = "the published API has them")]
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub(super) struct UserView {
    id: Uuid,
    username: String,
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    /// `superadmin` and `admin` may do everything, `guest` may look.
    #[schema(value_type = String)]
    role: &'static str,
    alerts: bool,
    notification: Notification,
    /// There is a second factor: codes from an app, or a passkey.
    totp_auth_enabled: bool,
    is_sso_login_enabled: bool,
    is_local_login_enabled: bool,
    is_offline_passwords_generated: bool,
    force_change_password: bool,
    keep_me_signed_in: bool,
    #[schema(required)]
    last_news_seen_date: Option<Time>,
    #[schema(required)]
    last_release_notes_seen: Option<String>,
    #[schema(required)]
    ucrm_id: Option<String>,
    #[schema(required)]
    ucrm_role: Option<String>,
    #[schema(value_type = String)]
    home_screen: &'static str,
    enabled: bool,
    updated: Time,
    #[schema(required, value_type = Option<Object>)]
    location: Option<()>,
    /// What the GUI keeps for this account.
    #[schema(value_type = Object)]
    preferences: Value,
    /// Milliseconds without activity after which a login ends.
    session_timeout: i64,
    aerie: UserExtra,
}

/// What the published API has no words for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UserExtra {
    /// The account's time zone.
    timezone: Option<String>,
    /// The account's country.
    country: Option<String>,
    /// May change things: its role is an admin's.
    admin: bool,
    /// What the account has not been told yet. In a list of accounts it is empty.
    notices: Vec<NoticeView>,
    two_factor: FactorsView,
    /// What the account has to do before anything else.
    #[schema(required)]
    due: Option<DueView>,
    /// Characters that a new password needs.
    password_min: usize,
    #[schema(required)]
    last_login: Option<Time>,
    /// Live logins.
    logins: usize,
    /// Ten codes, this one time: each takes the place of a second factor once.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes: Option<Vec<String>>,
}

/// Something that the account is told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notice)]
struct NoticeView {
    id: Uuid,
    at: Time,
    message: String,
}

/// The second factors of an account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Factors)]
struct FactorsView {
    /// An app makes codes.
    totp: bool,
    /// How many passkeys there are.
    passkeys: usize,
    recovery_codes_left: usize,
    /// Every account needs a second factor.
    required: bool,
}

/// What an account has to do before anything else: until then it may read and change itself, and
/// log out.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Due)]
enum DueView {
    /// Choose a new password.
    Password,
    /// Add a second factor.
    SecondFactor,
}

/// Which messages this account gets. There are none yet.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserNotification)]
struct Notification {}

impl UserView {
    /// Shows an account to itself.
    pub(super) async fn read(accounts: &Accounts, id: Uuid) -> Result<Self, ApiError> {
        Ok(Self::new(accounts.person(id).await?))
    }

    /// Shows an account to one of its logins. That the login came from a new network is for the
    /// next one to read: whoever holds this one knows it.
    pub(super) async fn read_by(accounts: &Accounts, login: &Login) -> Result<Self, ApiError> {
        let mut view = Self::read(accounts, login.account).await?;
        view.aerie.notices.retain(|notice| notice.id != login.id.guid());
        Ok(view)
    }

    /// The same with recovery codes that were made just now.
    pub(super) fn with_recovery_codes(mut self, codes: Option<Vec<String>>) -> Self {
        self.aerie.recovery_codes = codes;
        self
    }

    /// Its user name.
    pub(super) fn username(&self) -> &str {
        &self.username
    }

    /// Shows an account.
    pub(super) fn new(person: Person) -> Self {
        let has_factor = person.has_factor();
        let aerie = UserExtra::new(&person);
        let account = person.account;
        let preferences = serde_json::from_str(&account.preferences);
        Self {
            id: account.id,
            first_name: filled(&account.first_name),
            last_name: filled(&account.last_name),
            username: account.username,
            email: account.email,
            role: account.role.name(),
            alerts: false,
            notification: Notification {},
            totp_auth_enabled: has_factor,
            is_sso_login_enabled: false,
            is_local_login_enabled: true,
            is_offline_passwords_generated: false,
            force_change_password: account.force_password_change,
            keep_me_signed_in: false,
            last_news_seen_date: None,
            last_release_notes_seen: None,
            ucrm_id: None,
            ucrm_role: None,
            home_screen: "/nms",
            enabled: account.enabled,
            updated: Time(account.updated),
            location: None,
            preferences: preferences.unwrap_or_else(|_| Value::Object(serde_json::Map::new())),
            session_timeout: account.session_timeout,
            aerie,
        }
    }
}

impl UserExtra {
    fn new(person: &Person) -> Self {
        let Person { account, factors, .. } = person;
        let notices = person.notices.iter().map(|notice| NoticeView {
            id: notice.id,
            at: Time(notice.at),
            message: notice.message.clone(),
        });
        Self {
            timezone: filled(&account.timezone),
            country: filled(&account.country),
            admin: account.role == Role::Admin,
            notices: notices.collect(),
            two_factor: FactorsView {
                totp: factors.totp,
                passkeys: factors.passkeys,
                recovery_codes_left: factors.recovery_codes_left,
                required: factors.required,
            },
            due: person.due.map(|due| match due {
                Due::Password => DueView::Password,
                Due::SecondFactor => DueView::SecondFactor,
            }),
            password_min: person.password_min,
            last_login: person.last_login.map(Time),
            logins: person.logins,
            recovery_codes: None,
        }
    }
}
