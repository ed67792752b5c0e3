use aerie_protocol::MAX_MESSAGE;
use aerie_protocol::noise::{MAX_PLAIN, NoiseError, Session};

use crate::samples;

#[test]
fn d2_messages_pass_both_ways_and_are_counted() {
    let (mut device, mut appliance) = samples::sessions();
    let (mut sealed, mut opened) = (Vec::new(), Vec::new());
    for round in 0..100_u64 {
        let plain = vec![u8::try_from(round).unwrap(); usize::try_from(round).unwrap()];
        device.seal(&plain, &mut sealed).unwrap();
        assert_eq!(sealed.len(), plain.len() + 16);
        appliance.open(&sealed, &mut opened).unwrap();
        assert_eq!(opened, plain);
        appliance.seal(&plain, &mut sealed).unwrap();
        device.open(&sealed, &mut opened).unwrap();
        assert_eq!(opened, plain);
        assert_eq!(device.messages(), 2 * (round + 1));
        assert_eq!(appliance.messages(), device.messages());
    }
}

#[test]
fn d2_a_message_opens_once() {
    let (mut device, mut appliance) = samples::sessions();
    let (mut sealed, mut opened) = (Vec::new(), Vec::new());
    device.seal(b"restart", &mut sealed).unwrap();
    appliance.open(&sealed, &mut opened).unwrap();
    assert!(matches!(appliance.open(&sealed, &mut opened), Err(NoiseError::Message(_))));
    assert!(opened.is_empty());
}

#[test]
fn d2_messages_open_in_their_order_only() {
    let (mut device, mut appliance) = samples::sessions();
    let (mut first, mut second, mut opened) = (Vec::new(), Vec::new(), Vec::new());
    device.seal(b"first", &mut first).unwrap();
    device.seal(b"second", &mut second).unwrap();
    assert!(matches!(appliance.open(&second, &mut opened), Err(NoiseError::Message(_))));
    assert!(opened.is_empty());
}

#[test]
fn d2_a_message_does_not_open_at_the_end_that_sealed_it() {
    let (mut device, _appliance) = samples::sessions();
    let (mut sealed, mut opened) = (Vec::new(), Vec::new());
    device.seal(b"mine", &mut sealed).unwrap();
    assert!(matches!(device.open(&sealed, &mut opened), Err(NoiseError::Message(_))));
}

#[test]
fn d2_every_changed_bit_of_a_message_is_noticed() {
    let (mut device, mut appliance) = samples::sessions();
    let (mut sealed, mut opened) = (Vec::new(), Vec::new());
    device.seal(b"forget", &mut sealed).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(appliance.open(&changed, &mut opened).is_err(), "bit {bit}");
        assert!(opened.is_empty());
    }
    for length in 0..sealed.len() {
        assert!(appliance.open(&sealed[..length], &mut opened).is_err(), "{length} bytes");
    }
}

#[test]
fn the_largest_message_fits_and_one_byte_more_is_refused() {
    let (mut device, mut appliance) = samples::sessions();
    let (mut sealed, mut opened) = (Vec::new(), Vec::new());
    let plain = vec![7; MAX_PLAIN + 1];
    let error = device.seal(&plain, &mut sealed).unwrap_err();
    assert!(matches!(error, NoiseError::TooLarge { limit: MAX_PLAIN, .. }));
    assert!(sealed.is_empty());
    device.seal(&plain[..MAX_PLAIN], &mut sealed).unwrap();
    assert_eq!(sealed.len(), MAX_MESSAGE);
    appliance.open(&sealed, &mut opened).unwrap();
    assert_eq!(opened, plain[..MAX_PLAIN]);
    sealed.push(0);
    let error = appliance.open(&sealed, &mut opened).unwrap_err();
    assert!(matches!(error, NoiseError::TooLarge { limit: MAX_MESSAGE, .. }));
}

#[test]
fn buffers_are_used_again() {
    let (mut device, mut appliance) = samples::sessions();
    let (mut sealed, mut opened) = (Vec::with_capacity(256), Vec::with_capacity(256));
    let places = (sealed.as_ptr(), opened.as_ptr());
    for length in [100, 0, 240, 1] {
        device.seal(&vec![1; length], &mut sealed).unwrap();
        appliance.open(&sealed, &mut opened).unwrap();
        assert_eq!((sealed.as_ptr(), opened.as_ptr()), places);
    }
}

/// An appliance keeps thousands of sessions; beside this, each has 32 bytes a key on the heap.
#[test]
fn a_session_stays_small() {
    assert!(size_of::<Session>() <= 176, "{} bytes", size_of::<Session>());
}
