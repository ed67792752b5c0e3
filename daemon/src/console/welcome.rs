//! What an appliance says on the machine's own screen, for who stands in front of it.

/// Where it is opened, and `code`, the set-up code, until somebody has used it.
pub(super) fn welcome(urls: Vec<String>, code: Option<&str>) -> String {
    let mut lines = vec![String::new()];
    if urls.is_empty() {
        lines.push(
            "Aerie runs, but this machine has no address yet. Is its network cable in?".into(),
        );
        lines.push("It asks for an address by DHCP, unless a provisioning file names one.".into());
    } else {
        lines.push("Aerie runs. Open it in a browser:".into());
        lines.extend(urls.into_iter().map(|url| format!("    {url}")));
    }
    match code {
        Some(code) => {
            lines.push("Nobody has set it up yet. Its set-up code:".into());
            lines.push(format!("    {code}"));
        }
        None => lines.push("It is set up: log in with your account.".into()),
    }
    lines.push(String::new());
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a2_the_screen_tells_where_the_appliance_is_and_its_code_while_it_counts() {
        let urls = || vec!["https://192.0.2.7".to_owned(), "https://[2001:db8::7]".to_owned()];
        let new = welcome(urls(), Some("AAAAA-BBBBB-CCCCC-DDDDD"));
        assert!(urls().iter().all(|url| new.contains(&format!("    {url}\n"))), "{new}");
        assert!(new.contains("    AAAAA-BBBBB-CCCCC-DDDDD\n"), "{new}");
        let configured = welcome(urls(), None);
        assert!(configured.contains("log in") && !configured.contains("code"), "{configured}");
        let alone = welcome(Vec::new(), Some("AAAAA-BBBBB-CCCCC-DDDDD"));
        assert!(alone.contains("cable") && alone.contains("AAAAA"), "{alone}");
    }
}
