use aerie_protocol::address::{Address, AddressError};
use aerie_protocol::inform;
use aerie_protocol::key::{DeviceKey, KeySecret};

#[test]
fn one_place_has_one_spelling() {
    let spelled = |host, port| Address::new(host, port).unwrap().to_string();
    assert_eq!(spelled("Aerie.EXAMPLE", 443), "aerie.example:443");
    assert_eq!(spelled("2001:DB8:0:0::7", 8444), "[2001:db8::7]:8444");
    assert_eq!(spelled("192.0.2.7", 65_535), "192.0.2.7:65535");
    assert_eq!(Address::new("a.example", 1), Address::new("A.example", 1));
    assert_ne!(Address::new("a.example", 1), Address::new("a.example", 2));
}

#[test]
fn what_cannot_be_dialled_is_refused() {
    for host in ["", ".", "a..b", "-a", "a-", "a b", "a:443", "[::1]", "a/b", "é.example"] {
        assert_eq!(Address::new(host, 443), Err(AddressError::Host), "{host:?}");
    }
    for port in [0, 65_536, u32::MAX] {
        assert_eq!(Address::new("a.example", port), Err(AddressError::Port));
    }
}

#[test]
fn every_address_fits_into_a_device_key_and_a_message() {
    for (host, port) in [("a.example", 1), ("192.0.2.7", 443), ("2001:db8::7", 65_535)] {
        let address = Address::new(host, port).unwrap();
        assert_eq!(Address::try_from(&inform::Address::from(&address)), Ok(address.clone()));
        let key = DeviceKey {
            host: address.host().to_owned(),
            port: address.port(),
            secret: KeySecret::from_bytes(&[7; 36]).unwrap(),
            allow_untrusted: false,
            pin: None,
        };
        assert_eq!(DeviceKey::parse(&key.write()).unwrap().address(), Ok(address));
    }
}
