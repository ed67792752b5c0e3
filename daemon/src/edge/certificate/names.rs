//! Whether a CA would be content with a name, as far as can be seen from here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::acme::is_public_name;
use super::{CHALLENGE_PATH, Certificates, Check};
use crate::seal::random;

/// What was found about one name before a CA looks at it.
#[derive(Clone, Debug)]
pub struct NameCheck {
    /// The name.
    pub name: String,
    /// What was looked at: [`Check::Dns`] or [`Check::Http`].
    pub check: Check,
    /// Whether a CA would be content, as far as can be seen from here.
    pub ok: bool,
    /// What was found.
    pub what: String,
    /// What to do, where something is to be done.
    pub todo: Option<&'static str>,
}

impl NameCheck {
    fn new(name: &str, check: Check, ok: bool, what: String, todo: Option<&'static str>) -> Self {
        Self { name: name.to_owned(), check, ok, what, todo }
    }
}

impl Certificates {
    /// What a CA would find for these names, as far as can be seen from here.
    pub async fn check_names(&self, names: &[String]) -> Vec<NameCheck> {
        let mut found = Vec::with_capacity(names.len() * 2);
        for name in names {
            found.push(self.check_dns(name).await);
            if found.last().is_some_and(|dns| dns.ok) {
                found.push(self.check_port_80(name).await);
            }
        }
        found
    }

    async fn check_dns(&self, name: &str) -> NameCheck {
        let told = |ok, what, todo| NameCheck::new(name, Check::Dns, ok, what, todo);
        if !is_public_name(&name.to_ascii_lowercase()) {
            let what = format!("{name:?} is no public DNS name.");
            return told(false, what, Some("Use a name with a dot, such as net.example.org."));
        }
        let Ok(addresses) = self.shared.ground.outbound.addresses_of(name).await else {
            let todo = "Make an A or AAAA record for the name that points to this appliance.";
            return told(false, format!("DNS knows no address for {name}."), Some(todo));
        };
        let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        told(true, format!("{name} is {}.", list.join(", ")), None)
    }

    async fn check_port_80(&self, name: &str) -> NameCheck {
        let told = |ok, what, todo| NameCheck::new(name, Check::Http, ok, what, todo);
        let Ok(token) = random::<16>() else {
            return told(false, "The system gives no random numbers.".to_owned(), None);
        };
        let token = URL_SAFE_NO_PAD.encode(token);
        let live = &self.shared.live;
        live.answer_http(token.clone(), format!("{token}.check"));
        let path = format!("{CHALLENGE_PATH}{token}");
        let answer = self.shared.ground.outbound.ask_port_80(name, &path).await;
        live.forget_http(&token);
        let wanted = format!("{token}.check");
        match answer {
            Ok(answer) if answer.ends_with(wanted.as_bytes()) => {
                told(true, format!("Port 80 of {name} is this appliance."), None)
            }
            Ok(_) => told(
                false,
                format!("Port 80 of {name} answers, but it is not this appliance."),
                Some("Check that the name points here, and what stands in front of the appliance."),
            ),
            Err(error) => told(
                false,
                format!("Port 80 of {name} was not reached: {error}."),
                Some(
                    "Let port 80 through from the internet to this appliance. Some routers do not \
                     let it be tried from inside; the CA looks from outside.",
                ),
            ),
        }
    }
}
