//! Who may reach a route. Nothing reaches a handler except through [`enforce`].

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;

use super::error::ApiError;
use super::extract::token;
use crate::accounts::{Accounts, Login, Role};
use crate::clock::Clock;

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Public,
    /// A login of any role.
    ReadOnly,
    /// The login of an admin.
    Admin,
}

/// Whether a route asks for a fresh proof of the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepUp {
    /// The login or its last step-up must be younger than five minutes.
    Yes,
    /// Any login will do.
    No,
}

/// A route's rule, and what is needed to check it.
#[derive(Clone)]
pub(super) struct Rule {
    pub(super) access: Access,
    pub(super) step_up: StepUp,
    pub(super) accounts: Accounts,
    pub(super) clock: Clock,
}

/// Lets a request through to its handler, with its login in the extensions, or refuses it: first
/// 401, then 403 for the role, then 403 for the step-up.
pub(super) async fn enforce(
    State(line): State<Rule>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let role = match line.access {
        Access::Public => return Ok(next.run(request).await),
        Access::ReadOnly => Role::ReadOnly,
        Access::Admin => Role::Admin,
    };
    let token = token(request.headers()).ok_or_else(|| {
        ApiError::unauthorized(
            "Log in first: POST /nms/api/v2.1/user/login gives a token for the header \
             x-auth-token.",
        )
    })?;
    let login = line.accounts.authenticate(token).await?;
    require(&login, role)?;
    if line.step_up == StepUp::Yes {
        require_step_up(&login, line.clock.now())?;
    }
    request.extensions_mut().insert(login);
    Ok(next.run(request).await)
}

/// Refuses a login whose role does not reach.
pub(super) fn require(login: &Login, role: Role) -> Result<(), ApiError> {
    if role == Role::Admin && login.role != Role::Admin {
        return Err(ApiError::forbidden(
            "Your account may look but not change anything. Ask an admin to do this.",
        ));
    }
    Ok(())
}

/// Refuses a login that is older than five minutes, unless it has stepped up since.
pub(super) fn require_step_up(login: &Login, now: Timestamp) -> Result<(), ApiError> {
    if now < login.stepped_up_until { Ok(()) } else { Err(ApiError::step_up_required()) }
}
