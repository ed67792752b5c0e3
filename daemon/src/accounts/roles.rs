//! What an account may do.

/// Two roles, as a wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything.
    Admin,
    /// Looks, changes nothing, reads no secret.
    ReadOnly,
}

impl Role {
    /// From the published API's word: `superadmin` and `admin` are Admin, `guest` is Read-Only.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "superadmin" | "admin" => Some(Self::Admin),
            "guest" => Some(Self::ReadOnly),
            _ => None,
        }
    }

    /// The published API's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "superadmin",
            Self::ReadOnly => "guest",
        }
    }
}
