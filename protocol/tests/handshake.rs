use aerie_protocol::key::KeySecret;
use aerie_protocol::noise::{
    Answered, FirstContact, NoiseError, Opening, Primitives, PublicKey, Reconnect, StaticKey,
};
use snow::Builder;

use crate::samples;

/// Public keys with which every agreement comes out as zero (RFC 7748, section 6.1).
fn low_order() -> [[u8; 32]; 4] {
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xFF; 32];
    minus_one[0] = 0xEC;
    minus_one[31] = 0x7F;
    let order_8 = [
        0xE0, 0xEB, 0x7A, 0x7C, 0x3B, 0x41, 0xB8, 0xAE, 0x16, 0x56, 0xE3, 0xFA, 0xF1, 0x9F, 0xC4,
        0x6A, 0xDA, 0x09, 0x8D, 0xEB, 0x9C, 0x32, 0xB1, 0xFD, 0x86, 0x62, 0x05, 0x16, 0x5F, 0x49,
        0xB8, 0x00,
    ];
    [[0; 32], one, minus_one, order_8]
}

/// Every copy of `message` with one bit changed.
fn each_bit_flipped(message: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..message.len() * 8).map(|bit| {
        let mut changed = message.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    })
}

#[test]
fn d2_a_first_contact_proves_both_ends_to_each_other() {
    let (waiting, opening, third, reply) = samples::first_contact();
    assert_eq!(opening[..6], [1, 1, 0xDE, 0xAD, 0xBE, 0xEF]);
    assert_eq!(Opening::parse(&opening).unwrap().key_id(), Some([0xDE, 0xAD, 0xBE, 0xEF]));
    let mut asked = None;
    let done = waiting.read_reply(&reply, |key| asked.replace(*key).is_none()).unwrap();
    assert_eq!(asked, Some(samples::appliance().public()));
    assert_eq!(done.appliance, samples::appliance().public());
    let mut appliance = third.finish(&done.third.unwrap()).unwrap();
    assert_eq!(appliance.remote(), samples::device().public());
    let (mut device, mut sealed, mut opened) = (done.session, Vec::new(), Vec::new());
    assert_eq!(device.remote(), samples::appliance().public());
    device.seal(b"hello", &mut sealed).unwrap();
    appliance.open(&sealed, &mut opened).unwrap();
    assert_eq!(opened, b"hello");
}

#[test]
fn d2_a_reconnect_proves_both_ends_without_any_device_key() {
    let (waiting, opening, mut appliance, reply) = samples::reconnect();
    assert_eq!(opening[..2], [1, 2]);
    assert_eq!(Opening::parse(&opening).unwrap().key_id(), None);
    assert_eq!(appliance.remote(), samples::device().public());
    let done = waiting.read_reply(&reply, |key| *key == samples::appliance().public()).unwrap();
    assert_eq!(done.third, None);
    let (mut device, mut sealed, mut opened) = (done.session, Vec::new(), Vec::new());
    appliance.seal(b"enrolled", &mut sealed).unwrap();
    device.open(&sealed, &mut opened).unwrap();
    assert_eq!(opened, b"enrolled");
}

#[test]
fn d2_a_wrong_device_key_fails_at_message_1() {
    let mut bytes = samples::secret_bytes();
    bytes[0] ^= 1;
    let wrong = KeySecret::from_bytes(&bytes).unwrap();
    let (_, opening) = FirstContact::start(&samples::device(), &wrong).unwrap();
    let opening = Opening::parse(&opening).unwrap();
    let error = opening.answer(&samples::appliance(), Some(&samples::secret())).unwrap_err();
    assert_eq!(error, NoiseError::Handshake(snow::Error::Decrypt));
}

#[test]
fn d2_a_flood_without_the_device_key_costs_no_diffie_hellman() {
    // With a low-order key any agreement would fail as one; what fails is the seal before it.
    for ephemeral in low_order() {
        let opening = [&[1, 1, 0xDE, 0xAD, 0xBE, 0xEF], &ephemeral[..], &[0; 16]].concat();
        let opening = Opening::parse(&opening).unwrap();
        let error = opening.answer(&samples::appliance(), Some(&samples::secret())).unwrap_err();
        assert_eq!(error, NoiseError::Handshake(snow::Error::Decrypt));
    }
}

#[test]
fn d2_an_unknown_key_id_and_the_key_of_another_id_are_told_apart() {
    let (_, opening) = FirstContact::start(&samples::device(), &samples::secret()).unwrap();
    let opening = Opening::parse(&opening).unwrap();
    let none = opening.answer(&samples::appliance(), None).unwrap_err();
    assert_eq!(none, NoiseError::KeyUnknown);
    let mut bytes = samples::secret_bytes();
    bytes[35] ^= 1;
    let other = KeySecret::from_bytes(&bytes).unwrap();
    let other = opening.answer(&samples::appliance(), Some(&other)).unwrap_err();
    assert_eq!(other, NoiseError::KeyMismatch);
}

#[test]
fn d2_an_appliance_that_fails_the_pin_learns_nothing_of_the_device() {
    // Knows the leaked device key, so it can answer, with a static key of its own.
    let impostor = StaticKey::generate().unwrap();
    let (waiting, opening) = FirstContact::start(&samples::device(), &samples::secret()).unwrap();
    let opening = Opening::parse(&opening).unwrap();
    let (_, reply) = opening.answer(&impostor, Some(&samples::secret())).unwrap();
    let pin = samples::appliance().public();
    let error = waiting.read_reply(&reply, |key| *key == pin).unwrap_err();
    assert_eq!(error, NoiseError::NotAccepted(impostor.public()));
}

#[test]
fn d2_only_the_stored_appliance_can_answer_a_reconnect() {
    let impostor = StaticKey::generate().unwrap();
    let (_, opening) =
        Reconnect::start(&samples::device(), &samples::appliance().public()).unwrap();
    let error = Opening::parse(&opening).unwrap().answer(&impostor, None).unwrap_err();
    assert_eq!(error, NoiseError::Handshake(snow::Error::Decrypt));
}

#[test]
fn d2_every_changed_bit_of_an_opening_is_noticed() {
    let (_, opening) = FirstContact::start(&samples::device(), &samples::secret()).unwrap();
    for changed in each_bit_flipped(&opening) {
        let Ok(parsed) = Opening::parse(&changed) else { continue };
        // The appliance has a key for every id: the same 32 bytes, so only the header differs.
        let mut bytes = samples::secret_bytes();
        bytes[32..].copy_from_slice(&parsed.key_id().unwrap());
        let key = KeySecret::from_bytes(&bytes).unwrap();
        assert!(parsed.answer(&samples::appliance(), Some(&key)).is_err());
    }
    let (_, opening) =
        Reconnect::start(&samples::device(), &samples::appliance().public()).unwrap();
    for changed in each_bit_flipped(&opening) {
        let Ok(parsed) = Opening::parse(&changed) else { continue };
        assert!(parsed.answer(&samples::appliance(), Some(&samples::secret())).is_err());
    }
}

#[test]
fn d2_every_changed_bit_of_a_reply_is_noticed() {
    // A handshake ends with its first failure, so each bit needs one of its own.
    for bit in 0..96 * 8 {
        let (waiting, _, _, mut reply) = samples::first_contact();
        reply[bit / 8] ^= 1 << (bit % 8);
        assert!(waiting.read_reply(&reply, |_| true).is_err(), "first contact, bit {bit}");
    }
    for bit in 0..48 * 8 {
        let (waiting, _, _, mut reply) = samples::reconnect();
        reply[bit / 8] ^= 1 << (bit % 8);
        assert!(waiting.read_reply(&reply, |_| true).is_err(), "reconnect, bit {bit}");
    }
}

#[test]
fn d2_every_changed_bit_of_message_3_is_noticed() {
    for bit in 0..64 * 8 {
        let (waiting, _, awaiting, reply) = samples::first_contact();
        let mut third = waiting.read_reply(&reply, |_| true).unwrap().third.unwrap();
        third[bit / 8] ^= 1 << (bit % 8);
        assert!(awaiting.finish(&third).is_err(), "bit {bit}");
    }
}

#[test]
fn d2_agreements_that_come_out_as_zero_are_refused() {
    for ephemeral in low_order() {
        let opening = [&[1, 2], &ephemeral[..], &[0; 64]].concat();
        let error =
            Opening::parse(&opening).unwrap().answer(&samples::appliance(), None).unwrap_err();
        assert_eq!(error, NoiseError::Handshake(snow::Error::Dh));
        let (waiting, _, _, _) = samples::first_contact();
        let reply = [&ephemeral[..], &[0; 64]].concat();
        let error = waiting.read_reply(&reply, |_| true).unwrap_err();
        assert_eq!(error, NoiseError::Handshake(snow::Error::Dh));
        let error = Reconnect::start(&samples::device(), &PublicKey(ephemeral)).unwrap_err();
        assert_eq!(error, NoiseError::Handshake(snow::Error::Dh));
    }
}

#[test]
fn d2_a_recorded_reconnect_opens_nothing_that_was_recorded_with_it() {
    let (waiting, recorded, mut appliance, reply) = samples::reconnect();
    let mut device = waiting.read_reply(&reply, |_| true).unwrap().session;
    let (mut sealed, mut opened) = (Vec::new(), Vec::new());
    device.seal(b"hello", &mut sealed).unwrap();
    appliance.open(&sealed, &mut opened).unwrap();
    // Message 1 itself may be answered again: it changes nothing until a message opens.
    let again = Opening::parse(&recorded).unwrap().answer(&samples::appliance(), None).unwrap();
    let (Answered::Proven(mut replayed), other_reply) = again else { panic!("no message 3") };
    assert_ne!(other_reply, reply);
    assert!(matches!(replayed.open(&sealed, &mut opened), Err(NoiseError::Message(_))));
    assert_eq!(replayed.messages(), 0);
}

#[test]
fn openings_of_other_versions_patterns_and_lengths_are_refused_before_anything_is_computed() {
    let (_, first) = FirstContact::start(&samples::device(), &samples::secret()).unwrap();
    let (_, again) = Reconnect::start(&samples::device(), &samples::appliance().public()).unwrap();
    let refused = |bytes: &[u8]| Opening::parse(bytes).unwrap_err();
    for (bytes, expected) in [
        (&[][..], NoiseError::Version),
        (&[0], NoiseError::Version),
        (&[2, 1], NoiseError::Version),
        (&[1], NoiseError::Pattern),
        (&[1, 0], NoiseError::Pattern),
        (&[1, 3], NoiseError::Pattern),
        (&[1, 1, 9, 9, 9], NoiseError::NoKeyId),
        (&[1, 1, 0, 0, 0, 0], NoiseError::NoKeyId),
    ] {
        assert_eq!(refused(bytes), expected, "{bytes:?}");
    }
    for (opening, header) in [(first, 6), (again, 2)] {
        for length in header..opening.len() {
            assert!(matches!(refused(&opening[..length]), NoiseError::Length { .. }));
        }
        let longer = [opening.as_slice(), &[0]].concat();
        assert!(matches!(refused(&longer), NoiseError::Length { .. }));
    }
}

#[test]
fn handshake_messages_that_carry_a_payload_are_refused() {
    let appliance = samples::appliance();
    let (waiting, opening) = Reconnect::start(&samples::device(), &appliance.public()).unwrap();
    let mut chatty = Builder::with_resolver(
        "Noise_IK_25519_AESGCM_SHA256".parse().unwrap(),
        Box::new(Primitives::default()),
    )
    .prologue(&[1, 2])
    .unwrap()
    .local_private_key(appliance.secret())
    .unwrap()
    .build_responder()
    .unwrap();
    let mut reply = [0; 64];
    assert_eq!(chatty.read_message(&opening[2..], &mut []).unwrap(), 0);
    let length = chatty.write_message(b"x", &mut reply).unwrap();
    let error = waiting.read_reply(&reply[..length], |_| true).unwrap_err();
    assert_eq!(error, NoiseError::Length { expected: 48, got: 49 });
}

#[test]
fn public_keys_are_written_read_and_abbreviated() {
    let key = samples::appliance().public();
    let written = key.to_string();
    assert_eq!(written.len(), 43);
    assert_eq!(written.parse::<PublicKey>().unwrap(), key);
    assert!(written[1..].parse::<PublicKey>().is_err());
    assert!(format!("{written}A").parse::<PublicKey>().is_err());
    assert!(format!("{written}=").parse::<PublicKey>().is_err());
    let fingerprint = key.fingerprint();
    assert_eq!(fingerprint.len(), 19);
    assert!(fingerprint.split(':').all(|group| group.len() == 4));
    assert_ne!(fingerprint, samples::device().public().fingerprint());
    assert_eq!(fingerprint, key.fingerprint());
}

#[test]
fn a_static_key_comes_back_from_its_bytes() {
    let key = StaticKey::generate().unwrap();
    assert_eq!(StaticKey::from_bytes(key.secret()).unwrap().public(), key.public());
    assert_ne!(StaticKey::generate().unwrap().public(), key.public());
}
