use std::io::Write;
use std::process::{Command, Stdio};

use hpke::aead::{AesGcm128, AesGcm256};
use hpke::kdf::HkdfSha256;
use hpke::kem::DhP256HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{hex, vault};
use crate::vault::crypto::draw::Drawn;
use crate::vault::crypto::{
    Bound, CryptoError, PrivateKey, PublicKey, SEALED_BYTES, epoch_of, generate,
};
use crate::vault::protocol::SECRET_BYTES;

/// One of the vectors of RFC 9180, base mode, sequence number 0. All have one info, plaintext and aad.
struct Vector {
    ikm_e: &'static str,
    ikm_r: &'static str,
    sk_r: &'static str,
    pk_r: &'static str,
    enc: &'static str,
    ct: &'static str,
}

const INFO: &str = "4f6465206f6e2061204772656369616e2055726e";
const PLAIN: &str = "4265617574792069732074727574682c20747275746820626561757479";
const AAD: &str = "436f756e742d30";

/// Appendix A.3.1: AES-128-GCM.
const A_3_1: Vector = Vector {
    ikm_e: "4270e54ffd08d79d5928020af4686d8f6b7d35dbe470265f1f5aa22816ce860e",
    ikm_r: "668b37171f1072f3cf12ea8a236a45df23fc13b82af3609ad1e354f6ef817550",
    sk_r: "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2",
    pk_r: "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a82
           6a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0",
    enc: "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac9
          8536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4",
    ct: "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f90
         76ac232e3ab2523f39513434",
};

/// Our own suite, AES-256-GCM, from the file of vectors that the RFC's authors publish beside it.
const OURS: Vector = Vector {
    ikm_e: "a90d3417c3da9cb6c6ae19b4b5dd6cc9529a4cc24efb7ae0ace1f31887a8cd6c",
    ikm_r: "a0ce15d49e28bd47a18a97e147582d814b08cbe00109fed5ec27d1b4e9f6f5e3",
    sk_r: "317f915db7bc629c48fe765587897e01e282d3e8445f79f27f65d031a88082b2",
    pk_r: "04abc7e49a4c6b3566d77d0304addc6ed0e98512ffccf505e6a8e3eb25c685136f
           853148544876de76c0f2ef99cdc3a05ccf5ded7860c7c021238f9e2073d2356c",
    enc: "04c06b4f6bebc7bb495cb797ab753f911aff80aefb86fd8b6fcc35525f3ab5f03e
          0b21bd31a86c6048af3cb2d98e0d3bf01da5cc4c39ff5370d331a4f1f7d5a4e0",
    ct: "58c61a45059d0c5704560e9d88b564a8b63f1364b8d1fcb3c4c6ddc1d291742465
         e902cd216f8908da49f8f96f",
};

fn holds<A: hpke::aead::Aead>(vector: &Vector) {
    let (private, public) = DhP256HkdfSha256::derive_keypair(&hex(vector.ikm_r));
    assert_eq!(private.to_bytes().as_slice(), hex(vector.sk_r));
    assert_eq!(public.to_bytes().as_slice(), hex(vector.pk_r));
    let (enc, ct) = hpke::single_shot_seal_with_rng::<A, HkdfSha256, DhP256HkdfSha256>(
        &OpModeS::Base,
        &public,
        &hex(INFO),
        &hex(PLAIN),
        &hex(AAD),
        &mut Drawn::of(Zeroizing::new(hex(vector.ikm_e))),
    )
    .unwrap();
    assert_eq!(enc.to_bytes().as_slice(), hex(vector.enc));
    assert_eq!(ct, hex(vector.ct));
    let enc = Deserializable::from_bytes(&hex(vector.enc)).unwrap();
    let opened = hpke::single_shot_open::<A, HkdfSha256, DhP256HkdfSha256>(
        &OpModeR::Base,
        &private,
        &enc,
        &hex(INFO),
        &hex(vector.ct),
        &hex(AAD),
    );
    assert_eq!(opened.unwrap(), hex(PLAIN));
}

#[test]
fn the_vectors_of_rfc_9180_hold() {
    holds::<AesGcm128>(&A_3_1);
    holds::<AesGcm256>(&OURS);
}

fn bound() -> Bound {
    Bound { vault: vault(), epoch: 3, credential: Uuid::from_u128(5), version: 7 }
}

/// The recipient of RFC 9180's vector for our suite.
fn pair() -> (PrivateKey, PublicKey) {
    let private = PrivateKey::from_bytes(&hex(OURS.sk_r)).unwrap();
    let public = private.public();
    (private, public)
}

/// The seal as this release writes it. Older seals must open for ever: a new format gets a new
/// first byte, and this stays.
const FROZEN: &str = "010000000304c06b4f6bebc7bb495cb797ab753f911aff80aefb86fd8b6fcc35525f3a\
    b5f03e0b21bd31a86c6048af3cb2d98e0d3bf01da5cc4c39ff5370d331a4f1f7d5a4e0de04f94596b027c31b3b\
    09ecce659146a722c88e036e33e0be59bf50e5bacf29743c4ba2830f89b4e492b687e5f54a49";

#[test]
fn the_format_is_frozen() {
    let (private, public) = pair();
    let drawn = Drawn::of(Zeroizing::new(hex(OURS.ikm_e)));
    let sealed = public.seal_with(&bound(), b"correct horse", drawn).unwrap();
    assert_eq!(sealed[..5], [1, 0, 0, 0, 3]);
    assert_eq!(sealed[5..70], hex(OURS.enc));
    assert_eq!(sealed, hex(FROZEN));
    assert_eq!(private.open(&bound(), &hex(FROZEN)).unwrap().expose(), "correct horse");
}

#[test]
fn what_was_sealed_opens_and_no_two_seals_are_alike() {
    let (private, public) = generate().unwrap();
    assert_eq!(private.public(), public);
    for secret in ["", "x", "correct horse battery staple", "päßwörd", &"y".repeat(SECRET_BYTES)]
    {
        let sealed = public.seal(&bound(), secret.as_bytes()).unwrap();
        assert_eq!(private.open(&bound(), &sealed).unwrap().expose(), secret);
        assert!(sealed.len() <= SEALED_BYTES);
        assert_ne!(public.seal(&bound(), secret.as_bytes()).unwrap(), sealed);
        assert_eq!(epoch_of(&sealed), Some(3));
    }
}

#[test]
fn a_seal_shows_the_length_to_32_bytes_only() {
    let (_, public) = pair();
    let length = |secret: usize| public.seal(&bound(), &vec![b'z'; secret]).unwrap().len();
    let least = length(0);
    for secret in 1..=30 {
        assert_eq!(length(secret), least);
    }
    assert_eq!(length(31), least + 32);
    assert_eq!(length(62), least + 32);
    assert_eq!(length(63), least + 64);
    assert_eq!(length(SECRET_BYTES), SEALED_BYTES);
}

#[test]
fn every_changed_bit_and_every_cut_is_refused() {
    let (private, public) = pair();
    let sealed = public.seal(&bound(), b"correct horse").unwrap();
    for place in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[place] ^= 1 << bit;
            assert!(private.open(&bound(), &changed).is_err(), "byte {place}, bit {bit}");
        }
        assert!(private.open(&bound(), &sealed[..place]).is_err(), "cut at {place}");
    }
    let longer = [sealed.as_slice(), &[0]].concat();
    assert!(private.open(&bound(), &longer).is_err());
    assert!(private.open(&bound(), &vec![1; SEALED_BYTES + 1]).is_err());
}

#[test]
fn a_seal_opens_for_what_it_is_bound_to_alone() {
    let (private, public) = pair();
    let sealed = public.seal(&bound(), b"correct horse").unwrap();
    for other in [
        Bound { vault: Uuid::from_u128(1), ..bound() },
        Bound { epoch: 4, ..bound() },
        Bound { credential: Uuid::from_u128(6), ..bound() },
        Bound { version: 8, ..bound() },
    ] {
        assert_eq!(private.open(&other, &sealed).err(), Some(CryptoError::Seal), "{other:?}");
    }
    let (stranger, _) = generate().unwrap();
    assert_eq!(stranger.open(&bound(), &sealed).err(), Some(CryptoError::Seal));
}

#[test]
fn what_cannot_be_a_secret_is_not_sealed() {
    let (_, public) = pair();
    let long = vec![b'x'; SECRET_BYTES + 1];
    assert_eq!(public.seal(&bound(), &long), Err(CryptoError::TooLong));
    assert_eq!(public.seal(&bound(), &[0xff]), Err(CryptoError::NotText));
    let dry = Drawn::of(Zeroizing::new(vec![7; 31]));
    assert_eq!(public.seal_with(&bound(), b"x", dry), Err(CryptoError::Random));
}

#[test]
fn a_public_key_is_a_point_of_the_curve() {
    let (_, public) = pair();
    let bytes = public.to_bytes();
    assert_eq!(bytes.as_slice(), hex(OURS.pk_r));
    assert_eq!(PublicKey::from_bytes(&bytes), Ok(public));
    for place in 0..bytes.len() {
        let mut changed = bytes;
        changed[place] ^= 1;
        assert_eq!(PublicKey::from_bytes(&changed), Err(CryptoError::PublicKey), "byte {place}");
        assert_eq!(PublicKey::from_bytes(&bytes[..place]), Err(CryptoError::PublicKey));
    }
    assert!(PrivateKey::from_bytes(&[0; 32]).is_none());
    assert!(PrivateKey::from_bytes(&[0xff; 32]).is_none());
}

#[test]
fn openssl_reads_the_public_key_and_finds_the_same_point_of_p_256() {
    let (_, public) = generate().unwrap();
    let pem = public.pem().unwrap();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"));
    let mut openssl = Command::new("openssl")
        .args(["pkey", "-pubin", "-noout", "-text"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl runs");
    openssl.stdin.take().unwrap().write_all(pem.as_bytes()).unwrap();
    let said = openssl.wait_with_output().unwrap();
    assert!(said.status.success());
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("NIST CURVE: P-256"), "{said}");
    let (_, point) = said.split_once("pub:").unwrap();
    let (point, _) = point.split_once("ASN1").unwrap();
    assert_eq!(hex(&point.replace(':', "")), public.to_bytes());
}
