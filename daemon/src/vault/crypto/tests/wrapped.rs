use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};

use super::{fault, hex, master, vault};
use crate::vault::crypto::wrapped::derive;
use crate::vault::crypto::{Cost, CryptoError, KeyFault, Master, Wrapped, generate, unwrap, wrap};

/// As small as Argon2id goes: what is tested is not how long it takes.
const SMALL: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

#[test]
fn the_vector_of_rfc_9106_holds() {
    let params = ParamsBuilder::new()
        .m_cost(32)
        .t_cost(3)
        .p_cost(4)
        .data(AssociatedData::new(&[4; 12]).unwrap())
        .output_len(32)
        .build()
        .unwrap();
    let mut tag = [0; 32];
    let mut memory = vec![argon2::Block::new(); params.block_count()];
    Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params)
        .unwrap()
        .hash_password_into_with_memory(&[1; 32], &[2; 16], &mut tag, &mut memory)
        .unwrap();
    let expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
    assert_eq!(tag.as_slice(), hex(expected));
}

/// Computed with OpenSSL's ARGON2ID.
#[test]
fn our_derivation_is_that_of_openssl() {
    let password: [u8; 32] = std::array::from_fn(|place| u8::try_from(place).unwrap());
    for (cost, expected) in [
        (SMALL, "46e232600dcfd482456b6fae6adb76fc897e0ebe9cf8f0f16d04826eac1feebd"),
        (Cost::USUAL, "588339232d8bb98f3df991d206ec141bede7ebf0bf38e547de7123ad95864f30"),
    ] {
        let mut key = [0; 32];
        derive(&password, &[9; 16], cost, &mut key).unwrap();
        assert_eq!(key.as_slice(), hex(expected), "{cost:?}");
    }
}

#[test]
fn the_key_opens_with_its_password_alone() {
    let (private, public) = generate().unwrap();
    let wrapped = wrap(&private, &master(), vault(), 2, SMALL).unwrap();
    assert_eq!(unwrap(&wrapped, &master()).ok().unwrap().public(), public);
    let other = Master::generate().unwrap();
    assert_eq!(fault(unwrap(&wrapped, &other)), KeyFault::Wrong);
    let again = wrap(&private, &master(), vault(), 2, SMALL).unwrap();
    assert_ne!(again, wrapped);
}

#[test]
fn the_key_survives_its_way_to_the_disk() {
    let (private, public) = generate().unwrap();
    let wrapped = wrap(&private, &master(), vault(), 2, SMALL).unwrap();
    let bytes = rmp_serde::to_vec_named(&wrapped).unwrap();
    let read: Wrapped = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(read, wrapped);
    assert_eq!(unwrap(&read, &master()).ok().unwrap().public(), public);
}

#[test]
fn a_damaged_record_is_told_from_a_wrong_password() {
    let (private, _) = generate().unwrap();
    let wrapped = wrap(&private, &master(), vault(), 2, SMALL).unwrap();
    let bytes = rmp_serde::to_vec_named(&wrapped).unwrap();
    let mut told = 0;
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        // Where the names of the fields are hit, it is no record at all.
        let Ok(read) = rmp_serde::from_slice::<Wrapped>(&changed) else { continue };
        assert_eq!(fault(unwrap(&read, &master())), KeyFault::Failed(CryptoError::Wrapped));
        told += 1;
    }
    assert!(told > 100, "{told}");
}

#[test]
fn what_a_derivation_may_cost_is_bounded() {
    let (private, _) = generate().unwrap();
    for cost in [
        Cost { memory_kib: u32::MAX, ..SMALL },
        Cost { passes: u32::MAX, ..SMALL },
        Cost { lanes: 5, memory_kib: 1024, ..SMALL },
        Cost { memory_kib: 0, ..SMALL },
        Cost { passes: 0, ..SMALL },
        Cost { lanes: 0, ..SMALL },
    ] {
        let result = wrap(&private, &master(), vault(), 1, cost);
        assert_eq!(result.err(), Some(CryptoError::Cost), "{cost:?}");
    }
}
