use aerie_protocol::inform::{
    self, Address, Enrolled, FromAppliance, FromDevice, HeldPassword, Hello, Interface, KeepAlive,
    MAX_ACCOUNT_BYTES, MAX_ACCOUNTS, MAX_ADDRESS_BYTES, MAX_ADDRESSES, MAX_DETAIL_BYTES,
    MAX_INTERFACES, MAX_NAME_BYTES, MAX_PASSWORD_BYTES, MAX_SEALED_BYTES, MessageError, Passwords,
    Refusal, Rename, Reply, Request, SetPassword, Status, TerminalData, TryPassword,
    from_appliance, from_device, reply, request,
};
use aerie_protocol::noise::MAX_PLAIN;
use prost::Message as _;

/// What decoding says to `body`, which is encoded without any check.
fn device_error(body: from_device::Body) -> MessageError {
    let message = FromDevice::from(body);
    let error = inform::decode_from_device(&message.encode_to_vec()).unwrap_err();
    let sending = inform::encode_from_device(&message, &mut Vec::new()).unwrap_err();
    assert_eq!(sending, error, "sending and receiving have the same bounds");
    error
}

fn appliance_error(body: from_appliance::Body) -> MessageError {
    let message = FromAppliance::from(body);
    let error = inform::decode_from_appliance(&message.encode_to_vec()).unwrap_err();
    let sending = inform::encode_from_appliance(&message, &mut Vec::new()).unwrap_err();
    assert_eq!(sending, error, "sending and receiving have the same bounds");
    error
}

fn hello(hello: Hello) -> from_device::Body {
    from_device::Body::Hello(hello)
}

fn status(interfaces: Vec<Interface>) -> from_device::Body {
    from_device::Body::Status(Status { interfaces, ..Status::default() })
}

#[test]
fn a_message_without_a_body_says_nothing() {
    assert_eq!(inform::decode_from_device(&[]), Err(MessageError::Empty));
    assert_eq!(inform::decode_from_appliance(&[]), Err(MessageError::Empty));
    let mut out = vec![1];
    let empty = FromDevice { body: None };
    assert_eq!(inform::encode_from_device(&empty, &mut out), Err(MessageError::Empty));
    let reply = Reply { request_id: 1, outcome: None };
    assert_eq!(device_error(from_device::Body::Reply(reply)), MessageError::Empty);
}

#[test]
fn an_unknown_message_is_named_by_its_number() {
    // Field 900, two bytes long.
    let unknown = [0xA2, 0x38, 2, 1, 2];
    let expected = MessageError::Unknown { number: 900 };
    assert_eq!(inform::decode_from_device(&unknown), Err(expected));
    assert_eq!(inform::decode_from_appliance(&unknown), Err(expected));
}

#[test]
fn an_unknown_request_is_named_by_its_id_so_that_it_can_be_refused() {
    let request = Request { request_id: 4711, verb: None };
    let error = appliance_error(from_appliance::Body::Request(request));
    assert_eq!(error, MessageError::UnknownVerb { request_id: 4711 });
    // Request 5 with a verb of number 99.
    let newer = [0x2A, 6, 0x08, 5, 0x9A, 0x06, 1, 0];
    let error = inform::decode_from_appliance(&newer).unwrap_err();
    assert_eq!(error, MessageError::UnknownVerb { request_id: 5 });
}

#[test]
fn an_unknown_field_of_a_known_message_is_skipped() {
    let mut bytes =
        FromDevice::from(from_device::Body::KeepAlive(KeepAlive { sequence: 7 })).encode_to_vec();
    // Field 15 of the keep-alive: a number.
    bytes.extend([0x78, 1]);
    bytes[1] += 2;
    let decoded = inform::decode_from_device(&bytes).unwrap();
    assert_eq!(decoded.body, Some(from_device::Body::KeepAlive(KeepAlive { sequence: 7 })));
}

#[test]
fn bytes_that_are_no_message_are_malformed() {
    let keep_alive =
        FromDevice::from(from_device::Body::KeepAlive(KeepAlive { sequence: 300 })).encode_to_vec();
    let twice = [keep_alive.as_slice(), &keep_alive].concat();
    let cut = &keep_alive[..keep_alive.len() - 1];
    for bytes in [
        twice.as_slice(),
        cut,
        &[0xFF],
        &[0xFF; 12],
        &[0x00, 0x00],             // field 0
        &[0x08, 0x01],             // a number where a message belongs
        &[0x0B, 0x0C],             // a group
        &[0x0A, 0xFF, 0xFF, 0x03], // longer than what follows
        &[0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
        &[0x0A, 0x03, 0x12, 0x01, 0xFF], // a host name that is no UTF-8
    ] {
        assert_eq!(inform::decode_from_device(bytes), Err(MessageError::Malformed), "{bytes:02x?}");
        if bytes != [0x0A, 0x03, 0x12, 0x01, 0xFF] {
            assert_eq!(inform::decode_from_appliance(bytes), Err(MessageError::Malformed));
        }
    }
}

#[test]
fn the_size_is_checked_before_anything_else() {
    let bytes = vec![0xFF; MAX_PLAIN + 1];
    let expected = MessageError::TooLarge { got: MAX_PLAIN + 1 };
    assert_eq!(inform::decode_from_device(&bytes), Err(expected));
    assert_eq!(inform::decode_from_appliance(&bytes), Err(expected));
    let data = TerminalData { channel: 1, data: vec![0; MAX_PLAIN].into() };
    let message = FromDevice::from(from_device::Body::TerminalData(data));
    let mut out = vec![1];
    let error = inform::encode_from_device(&message, &mut out).unwrap_err();
    assert!(matches!(error, MessageError::TooLarge { .. }));
    assert!(out.is_empty());
}

#[test]
fn hello_and_status_are_counted_before_they_are_decoded() {
    // Decoding would stumble over the first entry, which is no UTF-8; counting comes before.
    let field = |number: u8, value: &[u8]| {
        let length = u16::try_from(value.len()).unwrap();
        let low = u8::try_from(length & 0x7F).unwrap() | 0x80;
        let high = u8::try_from(length >> 7).unwrap();
        [&[number << 3 | 2, low, high], value].concat()
    };
    let faulty = field(1, &[0xFF]);
    let many = |number, first: &[u8], rest: &[u8], count: usize| {
        let rest = field(number, rest).repeat(count - 1);
        [field(number, first), rest].concat()
    };
    let hello = field(1, &many(9, &[0xFF], b"", MAX_ADDRESSES + 1));
    let status = field(2, &many(9, &faulty, b"", MAX_INTERFACES + 1));
    let interface = field(2, &field(9, &many(5, &[0xFF], b"", MAX_ADDRESSES + 1)));
    for (bytes, field, limit) in [
        (hello, "hello.addresses", MAX_ADDRESSES),
        (status, "status.interfaces", MAX_INTERFACES),
        (interface, "interface.addresses", MAX_ADDRESSES),
    ] {
        let error = inform::decode_from_device(&bytes).unwrap_err();
        assert_eq!(error, MessageError::TooMany { field, limit });
    }
}

#[test]
fn lists_have_their_bounds() {
    let addresses = vec!["192.0.2.7/24".to_owned(); MAX_ADDRESSES + 1];
    let mut interfaces = vec![Interface::default(); MAX_INTERFACES + 1];
    let limit = MAX_ADDRESSES;
    let error = device_error(hello(Hello { addresses: addresses.clone(), ..Hello::default() }));
    assert_eq!(error, MessageError::TooMany { field: "hello.addresses", limit });
    let error = device_error(status(vec![Interface { addresses, ..Interface::default() }]));
    assert_eq!(error, MessageError::TooMany { field: "interface.addresses", limit });
    let error = device_error(status(interfaces.clone()));
    let limit = MAX_INTERFACES;
    assert_eq!(error, MessageError::TooMany { field: "status.interfaces", limit });
    interfaces.pop();
    let message = FromDevice::from(status(interfaces));
    assert_eq!(inform::decode_from_device(&message.encode_to_vec()), Ok(message));
}

#[test]
fn texts_have_their_bounds() {
    let limit = MAX_NAME_BYTES;
    let long = || "x".repeat(MAX_NAME_BYTES + 1);
    let refused = |error, field| assert_eq!(error, MessageError::TooLong { field, limit });
    let base = Hello::default;
    refused(device_error(hello(Hello { hostname: long(), ..base() })), "hello.hostname");
    refused(device_error(hello(Hello { model: long(), ..base() })), "hello.model");
    refused(device_error(hello(Hello { vendor: long(), ..base() })), "hello.vendor");
    let error = device_error(hello(Hello { firmware_version: long(), ..base() }));
    refused(error, "hello.firmware_version");
    refused(device_error(hello(Hello { agent_version: long(), ..base() })), "hello.agent_version");
    refused(device_error(hello(Hello { serial_number: long(), ..base() })), "hello.serial_number");
    refused(device_error(hello(Hello { architecture: long(), ..base() })), "hello.architecture");
    let base = Interface::default;
    refused(device_error(status(vec![Interface { name: long(), ..base() }])), "interface.name");
    refused(device_error(status(vec![Interface { kind: long(), ..base() }])), "interface.kind");
    let verb = Some(request::Verb::Rename(Rename { name: long() }));
    let error = appliance_error(from_appliance::Body::Request(Request { request_id: 1, verb }));
    refused(error, "rename.name");
    let enrolled = Enrolled { device_id: vec![0; 16], name: long() };
    refused(appliance_error(from_appliance::Body::Enrolled(enrolled)), "enrolled.name");
}

#[test]
fn addresses_and_explanations_have_bounds_of_their_own() {
    let addresses = vec!["x".repeat(MAX_ADDRESS_BYTES + 1)];
    let limit = MAX_ADDRESS_BYTES;
    let error = device_error(hello(Hello { addresses: addresses.clone(), ..Hello::default() }));
    assert_eq!(error, MessageError::TooLong { field: "hello.addresses", limit });
    let error = device_error(status(vec![Interface { addresses, ..Interface::default() }]));
    assert_eq!(error, MessageError::TooLong { field: "interface.addresses", limit });
    let refusal = Refusal { reason: 1, detail: "x".repeat(MAX_DETAIL_BYTES + 1) };
    let expected = MessageError::TooLong { field: "refusal.detail", limit: MAX_DETAIL_BYTES };
    let error = appliance_error(from_appliance::Body::Refusal(refusal.clone()));
    assert_eq!(error, expected);
    let closed = inform::TerminalClosed { refusal: Some(refusal.clone()), ..Default::default() };
    assert_eq!(device_error(from_device::Body::TerminalClosed(closed)), expected);
    let outcome = Some(reply::Outcome::Refusal(refusal));
    let reply = Reply { request_id: 1, outcome };
    assert_eq!(device_error(from_device::Body::Reply(reply)), expected);
}

#[test]
fn fields_of_fixed_length_have_that_length() {
    let mac = vec![1; 5];
    let expected = |field, expected| MessageError::WrongLength { field, expected };
    let error = device_error(hello(Hello { mac: mac.clone(), ..Hello::default() }));
    assert_eq!(error, expected("hello.mac", 6));
    let error = device_error(status(vec![Interface { mac, ..Interface::default() }]));
    assert_eq!(error, expected("interface.mac", 6));
    let enrolled = Enrolled { device_id: vec![0; 15], name: String::new() };
    let error = appliance_error(from_appliance::Body::Enrolled(enrolled));
    assert_eq!(error, expected("enrolled.device_id", 16));
}

#[test]
fn an_address_is_one_that_can_be_dialled() {
    let address = |host: &str, port| Address { host: host.to_owned(), port };
    let long = format!("{}.example", "x".repeat(64));
    for bad in [
        address("", 443),
        address("a b", 443),
        address("wss://aerie.example", 443),
        address("aerie.example:443", 443),
        address("[2001:db8::7]", 443),
        address("a+b", 443),
        address("\u{202e}elpmaxe", 443),
        address(&long, 443),
        address(&"a.".repeat(200), 443),
        address("aerie.example", 0),
        address("aerie.example", 65_536),
        address("aerie.example", u32::MAX),
    ] {
        let error = appliance_error(from_appliance::Body::Address(bad.clone()));
        assert_eq!(error, MessageError::NoAddress { field: "address" }, "{bad:?}");
        let error = device_error(hello(Hello { dialled: Some(bad), ..Hello::default() }));
        assert_eq!(error, MessageError::NoAddress { field: "hello.dialled" });
    }
    for good in [
        address("aerie.example", 1),
        address("192.0.2.7", 65_535),
        address("2001:db8::7", 8444),
        address("lower_case-7", 443),
    ] {
        let message = FromAppliance::from(from_appliance::Body::Address(good));
        assert_eq!(inform::decode_from_appliance(&message.encode_to_vec()), Ok(message));
    }
}

fn set_password() -> SetPassword {
    SetPassword {
        account: "admin".to_owned(),
        credential_id: vec![7; 16],
        version: 1,
        password: b"secret".to_vec(),
        sealed: vec![1; 100],
    }
}

#[test]
fn v4_every_part_of_a_password_has_a_bound() {
    let too_long = |field, limit| MessageError::TooLong { field, limit };
    let refused = |change: fn(&mut SetPassword)| {
        let mut set = set_password();
        change(&mut set);
        let verb = Some(request::Verb::SetPassword(set));
        appliance_error(from_appliance::Body::Request(Request { request_id: 1, verb }))
    };
    let account = too_long("set_password.account", MAX_ACCOUNT_BYTES);
    assert_eq!(refused(|set| set.account = "a".repeat(MAX_ACCOUNT_BYTES + 1)), account);
    let password = too_long("set_password.password", MAX_PASSWORD_BYTES);
    assert_eq!(refused(|set| set.password = vec![b'p'; MAX_PASSWORD_BYTES + 1]), password);
    let sealed = too_long("set_password.sealed", MAX_SEALED_BYTES);
    assert_eq!(refused(|set| set.sealed = vec![0; MAX_SEALED_BYTES + 1]), sealed);
    let field = "set_password.credential_id";
    let id = MessageError::WrongLength { field, expected: 16 };
    assert_eq!(refused(|set| set.credential_id.clear()), id);
    assert_eq!(refused(|set| set.credential_id.push(0)), id);

    let attempt = |account: usize, password| {
        let tried = TryPassword { account: "a".repeat(account), password: vec![b'p'; password] };
        let verb = Some(request::Verb::TryPassword(tried));
        appliance_error(from_appliance::Body::Request(Request { request_id: 1, verb }))
    };
    let account = too_long("try_password.account", MAX_ACCOUNT_BYTES);
    assert_eq!(attempt(MAX_ACCOUNT_BYTES + 1, 1), account);
    let password = too_long("try_password.password", MAX_PASSWORD_BYTES);
    assert_eq!(attempt(1, MAX_PASSWORD_BYTES + 1), password);
}

#[test]
fn v4_what_accounts_have_is_counted_before_it_is_decoded() {
    let told = |held: Vec<HeldPassword>| {
        let outcome = Some(reply::Outcome::Passwords(Passwords { held }));
        from_device::Body::Reply(Reply { request_id: 1, outcome })
    };
    let one = || HeldPassword { account: "admin".to_owned(), ..HeldPassword::default() };
    let many = vec![one(); MAX_ACCOUNTS + 1];
    let too_many = |field| MessageError::TooMany { field, limit: MAX_ACCOUNTS };
    assert_eq!(device_error(told(many.clone())), too_many("passwords.held"));
    let greeted = hello(Hello { passwords: many, ..Hello::default() });
    assert_eq!(device_error(greeted), too_many("hello.passwords"));

    let long = HeldPassword { sealed: vec![0; MAX_SEALED_BYTES + 1], ..one() };
    let field = "held.sealed";
    assert_eq!(
        device_error(told(vec![long])),
        MessageError::TooLong { field, limit: MAX_SEALED_BYTES }
    );
    let half = HeldPassword { credential_id: vec![0; 8], ..one() };
    let field = "held.credential_id";
    assert_eq!(device_error(told(vec![half])), MessageError::WrongLength { field, expected: 16 });

    // Decoding would stumble over every one of them, which is no UTF-8; counting comes before.
    let field = |number: u8, value: &[u8]| {
        [&[number << 3 | 2, u8::try_from(value.len()).unwrap()], value].concat()
    };
    let held = field(1, &field(1, &[0xFF])).repeat(MAX_ACCOUNTS + 1);
    let bytes = field(4, &field(4, &held));
    assert_eq!(inform::decode_from_device(&bytes), Err(too_many("passwords.held")));
    let greeted = field(1, &field(14, &field(1, &[0xFF])).repeat(MAX_ACCOUNTS + 1));
    assert_eq!(inform::decode_from_device(&greeted), Err(too_many("hello.passwords")));
    let twice = field(4, &[field(4, &[]), field(4, &[])].concat());
    let twofold = MessageError::TooMany { field: "reply.passwords", limit: 1 };
    assert_eq!(inform::decode_from_device(&twice), Err(twofold));
}

#[test]
fn v4_a_password_is_shown_to_nobody() {
    let tried = TryPassword { account: "admin".to_owned(), password: b"secret".to_vec() };
    for verb in [request::Verb::SetPassword(set_password()), request::Verb::TryPassword(tried)] {
        let request = Request { request_id: 1, verb: Some(verb) };
        let message = FromAppliance::from(from_appliance::Body::Request(request));
        assert!(message.is_secret());
        let shown = format!("{message:?}");
        assert!(shown.contains("admin"), "{shown}");
        for form in ["secret".to_owned(), format!("{:?}", b"secret")] {
            assert!(!shown.contains(&form), "{shown}");
        }
    }
    let waiting = from_appliance::Body::Waiting(inform::Waiting {});
    assert!(!FromAppliance::from(waiting).is_secret());
}

#[test]
fn encoding_makes_its_room_at_once() {
    let mut set = set_password();
    (set.password, set.sealed) = (vec![b'p'; 200], vec![1]);
    let verb = Some(request::Verb::SetPassword(set));
    let request = Request { request_id: 1, verb };
    let message = FromAppliance::from(from_appliance::Body::Request(request));
    let mut out = Vec::new();
    inform::encode_from_appliance(&message, &mut out).unwrap();
    assert_eq!(out.capacity(), out.len(), "it grew, and left copies behind");
}

#[test]
fn encoding_uses_its_buffer_again() {
    let mut out = Vec::with_capacity(256);
    let place = out.as_ptr();
    for sequence in [1, 70_000, 3] {
        let message = FromAppliance::from(from_appliance::Body::KeepAlive(KeepAlive { sequence }));
        inform::encode_from_appliance(&message, &mut out).unwrap();
        assert_eq!(inform::decode_from_appliance(&out), Ok(message));
        assert_eq!(out.as_ptr(), place);
    }
}
