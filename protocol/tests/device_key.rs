use aerie_protocol::key::{DeviceKey, KeyError, KeySecret};
use aerie_protocol::noise::PublicKey;

use crate::samples;

const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh_erb7v";
const PIN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn parse_flags(flags: &str) -> Result<DeviceKey, KeyError> {
    DeviceKey::parse(&format!("wss://appliance.example:443+{SECRET}+{flags}"))
}

#[test]
fn d1_the_published_format_is_read_and_written() {
    let text = format!("wss://appliance.example:8443+{SECRET}+");
    let key = DeviceKey::parse(&text).unwrap();
    assert_eq!(key.host, "appliance.example");
    assert_eq!(key.port, 8443);
    assert_eq!(key.secret.psk(), &samples::secret_bytes()[..32]);
    assert_eq!(key.secret.generation(), [0xDE, 0xAD, 0xBE, 0xEF]);
    assert!(!key.allow_untrusted);
    assert_eq!(key.pin, None);
    assert_eq!(*key.write(), text);
}

#[test]
fn d1_both_spellings_of_the_certificate_flag_are_read_and_the_newer_one_is_written() {
    for flag in ["allowUntrustedCertificate", "allowSelfSignedCertificate"] {
        let key = parse_flags(flag).unwrap();
        assert!(key.allow_untrusted);
        assert!(key.write().ends_with("+allowUntrustedCertificate"));
    }
}

#[test]
fn d1_a_pin_is_read_in_any_place_and_written_last() {
    let pin = PublicKey(std::array::from_fn(|index| u8::try_from(index).unwrap()));
    let alone = parse_flags(&format!("pin={PIN}")).unwrap();
    assert_eq!(alone.pin, Some(pin));
    assert!(alone.write().ends_with(&format!("{SECRET}+pin={PIN}")));
    for flags in [
        format!("pin={PIN}+allowUntrustedCertificate"),
        format!("allowUntrustedCertificate+pin={PIN}"),
    ] {
        let key = parse_flags(&flags).unwrap();
        assert_eq!((key.pin, key.allow_untrusted), (Some(pin), true));
        assert!(key.write().ends_with(&format!("+allowUntrustedCertificate+pin={PIN}")));
    }
}

#[test]
fn d1_hosts_may_be_names_and_addresses_of_both_families() {
    for (written, host) in [
        ("192.0.2.7", "192.0.2.7"),
        ("my_box.lan", "my_box.lan"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:DB8:0::7]", "2001:db8::7"),
    ] {
        let key = DeviceKey::parse(&format!("wss://{written}:443+{SECRET}+")).unwrap();
        assert_eq!(key.host, host);
        assert_eq!(DeviceKey::parse(&key.write()).unwrap(), key);
    }
}

#[test]
fn d1_a_pasted_key_may_have_white_space_around_it_and_a_capital_scheme() {
    let key = DeviceKey::parse(&format!("  Wss://a.example:443+{SECRET}+\r\n")).unwrap();
    assert_eq!(*key.write(), format!("wss://a.example:443+{SECRET}+"));
}

/// What is wrong with a key and what is said about it.
fn refusals() -> Vec<(String, KeyError)> {
    let device_specific = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AAAAA";
    let not_canonical = format!("{}9", &PIN[..42]);
    let length = |characters| KeyError::SecretLength { characters };
    let unknown = |position| KeyError::UnknownFlag { position };
    vec![
        (String::new(), KeyError::Scheme),
        ("wss:".to_owned(), KeyError::Scheme),
        (format!("ws://a:443+{SECRET}+"), KeyError::Scheme),
        (format!("https://a:443+{SECRET}+"), KeyError::Scheme),
        (format!("wß://a:443+{SECRET}+"), KeyError::Scheme),
        ("wss://a:443".to_owned(), KeyError::CutOff),
        (format!("wss://a:443+{SECRET}"), KeyError::CutOff),
        (format!("wss://a:443+{}+", &SECRET[1..]), length(47)),
        (format!("wss://a:443+{SECRET}A+"), length(49)),
        (format!("wss://a:443+{SECRET}==+"), length(50)),
        ("wss://a:443++".to_owned(), length(0)),
        (format!("wss://a:443+{}/+", &SECRET[1..]), KeyError::SecretEncoding),
        (format!("wss://a:443+{}ß+", &SECRET[1..]), KeyError::SecretEncoding),
        (format!("wss://a:443+{device_specific}+"), KeyError::Generation),
        (format!("wss://a:0+{SECRET}+"), KeyError::Port),
        (format!("wss://a:65536+{SECRET}+"), KeyError::Port),
        (format!("wss://a:0443+{SECRET}+"), KeyError::Port),
        (format!("wss://a:-1+{SECRET}+"), KeyError::Port),
        (format!("wss://a:+{SECRET}+"), KeyError::Port),
        (format!("wss://a+{SECRET}+"), KeyError::Port),
        (format!("wss://a:443/inform+{SECRET}+"), KeyError::Port),
        (format!("wss://[2001:db8::7]+{SECRET}+"), KeyError::Port),
        (format!("wss://2001:db8::7:443+{SECRET}+"), KeyError::Port),
        (format!("wss://:443+{SECRET}+"), KeyError::Host),
        (format!("wss://a..b:443+{SECRET}+"), KeyError::Host),
        (format!("wss://-a:443+{SECRET}+"), KeyError::Host),
        (format!("wss://a b:443+{SECRET}+"), KeyError::Host),
        (format!("wss://user@a:443+{SECRET}+"), KeyError::Host),
        (format!("wss://{}:443+{SECRET}+", "a".repeat(64)), KeyError::Host),
        (format!("wss://{}a:443+{SECRET}+", "a.".repeat(127)), KeyError::Host),
        (format!("wss://[192.0.2.7]:443+{SECRET}+"), KeyError::Host),
        (format!("wss://[fe80::1%eth0]:443+{SECRET}+"), KeyError::Host),
        (format!("wss://[2001:db8::7:443+{SECRET}+"), KeyError::Host),
        (format!("wss://a:443+{SECRET}+trustEverything"), unknown(1)),
        (format!("wss://a:443+{SECRET}+allowuntrustedcertificate"), unknown(1)),
        (format!("wss://a:443+{SECRET}+allowUntrustedCertificate+"), unknown(2)),
        (format!("wss://a:443+{SECRET}+{SECRET}"), unknown(1)),
        (format!("wss://a:443+{SECRET}+pin="), KeyError::Pin),
        (format!("wss://a:443+{SECRET}+pin={}", &PIN[1..]), KeyError::Pin),
        (format!("wss://a:443+{SECRET}+pin={PIN}A"), KeyError::Pin),
        (format!("wss://a:443+{SECRET}+pin={not_canonical}"), KeyError::Pin),
        (format!("wss://a:443+{SECRET}+pin={PIN}+pin={PIN}"), KeyError::PinTwice),
        (format!("wss://a:443+{SECRET}+{}", "x".repeat(1024)), KeyError::TooLong),
    ]
}

#[test]
fn d1_a_damaged_key_is_refused_with_what_is_wrong_and_never_with_the_secret() {
    for (text, expected) in refusals() {
        let error = DeviceKey::parse(&text).unwrap_err();
        assert_eq!(error, expected, "{text}");
        let said = format!("{error} {error:?}");
        assert!(!said.contains(&SECRET[1..12]), "{said}");
    }
}

#[test]
fn secrets_do_not_print() {
    let key = parse_flags("").unwrap();
    let printed = format!("{key:?} {:?} {:?}", key.secret, samples::device());
    assert!(
        !printed.contains(&SECRET[..8]) && !printed.contains("17, 17") && !printed.contains("222")
    );
}

#[test]
fn secrets_compare_by_every_byte() {
    let bytes = samples::secret_bytes();
    assert_eq!(samples::secret(), KeySecret::from_bytes(&bytes).unwrap());
    assert_eq!(*samples::secret().to_bytes(), bytes);
    for index in 0..bytes.len() {
        let mut other = bytes;
        other[index] ^= 0x80;
        assert_ne!(samples::secret(), KeySecret::from_bytes(&other).unwrap());
    }
}

#[test]
fn a_generated_secret_is_fresh_and_has_a_generation() {
    let (one, two) = (KeySecret::generate().unwrap(), KeySecret::generate().unwrap());
    assert_ne!(one, two);
    assert_ne!(one.generation(), [0; 4]);
}
