//! Published Noise vectors, and one of our own, through our cryptography.

use aerie_protocol::noise::{Answered, NoiseError, Opening, Primitives, StaticKey};
use serde::Deserialize;
use snow::{Builder, HandshakeState, TransportState};

use crate::samples;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    protocol_name: String,
    init_prologue: String,
    init_static: String,
    init_ephemeral: String,
    init_remote_static: Option<String>,
    #[serde(default)]
    init_psks: Vec<String>,
    resp_prologue: String,
    resp_static: String,
    resp_ephemeral: String,
    #[serde(default)]
    resp_psks: Vec<String>,
    handshake_hash: Option<String>,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    payload: String,
    ciphertext: String,
}

fn published() -> Vec<Vector> {
    let file: File = serde_json::from_str(include_str!("vectors/published.json")).unwrap();
    file.vectors
}

fn own() -> Vector {
    let file: File = serde_json::from_str(include_str!("vectors/xxpsk0.json")).unwrap();
    file.vectors.into_iter().next().unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap();
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::try_from(digit(pair[0]) * 16 + digit(pair[1])).unwrap()).collect()
}

/// One end of a vector.
struct End<'vector> {
    prologue: &'vector str,
    own: &'vector str,
    ephemeral: &'vector str,
    remote: Option<&'vector str>,
    psks: &'vector [String],
}

impl End<'_> {
    fn build(&self, name: &str, initiator: bool) -> HandshakeState {
        let (own, prologue) = (bytes(self.own), bytes(self.prologue));
        let (ephemeral, remote) = (bytes(self.ephemeral), self.remote.map(bytes));
        let psks: Vec<[u8; 32]> =
            self.psks.iter().map(|psk| bytes(psk).try_into().unwrap()).collect();
        // As in the product: the static key is known to the primitives beforehand.
        let known = StaticKey::from_bytes(own.as_slice().try_into().unwrap()).unwrap();
        let primitives = Box::new(Primitives::of(&known));
        let mut builder = Builder::with_resolver(name.parse().unwrap(), primitives)
            .prologue(&prologue)
            .unwrap()
            .local_private_key(&own)
            .unwrap()
            .fixed_ephemeral_key_for_testing_only(&ephemeral);
        if let Some(remote) = &remote {
            builder = builder.remote_public_key(remote).unwrap();
        }
        for (place, psk) in psk_places(name).zip(&psks) {
            builder = builder.psk(place, psk).unwrap();
        }
        if initiator { builder.build_initiator() } else { builder.build_responder() }.unwrap()
    }
}

/// The digits behind each `psk` in a protocol name.
fn psk_places(name: &str) -> impl Iterator<Item = u8> {
    name.split("psk").skip(1).map(|rest| rest.as_bytes()[0] - b'0')
}

fn ends(vector: &Vector) -> (HandshakeState, HandshakeState) {
    let initiator = End {
        prologue: &vector.init_prologue,
        own: &vector.init_static,
        ephemeral: &vector.init_ephemeral,
        remote: vector.init_remote_static.as_deref(),
        psks: &vector.init_psks,
    };
    let responder = End {
        prologue: &vector.resp_prologue,
        own: &vector.resp_static,
        ephemeral: &vector.resp_ephemeral,
        remote: None,
        psks: &vector.resp_psks,
    };
    let name = &vector.protocol_name;
    (initiator.build(name, true), responder.build(name, false))
}

/// Runs every message of the vector, the initiator first, each end in turn.
fn run(vector: &Vector) {
    let (mut sender, mut receiver) = ends(vector);
    let mut messages = vector.messages.iter();
    let mut turns = 0;
    let (mut out, mut back) = ([0; 1024], [0; 1024]);
    while !sender.is_handshake_finished() {
        let message = messages.next().unwrap();
        let (payload, expected) = (bytes(&message.payload), bytes(&message.ciphertext));
        let sealed = sender.write_message(&payload, &mut out).unwrap();
        assert_eq!(out[..sealed], expected, "{}", vector.protocol_name);
        let opened = receiver.read_message(&expected, &mut back).unwrap();
        assert_eq!(back[..opened], payload);
        turns += 1;
        std::mem::swap(&mut sender, &mut receiver);
    }
    if let Some(hash) = &vector.handshake_hash {
        assert_eq!(sender.get_handshake_hash(), bytes(hash));
        assert_eq!(receiver.get_handshake_hash(), bytes(hash));
    }
    assert!(turns >= 2);
    let mut sender: TransportState = sender.into_transport_mode().unwrap();
    let mut receiver = receiver.into_transport_mode().unwrap();
    for message in messages {
        let (payload, expected) = (bytes(&message.payload), bytes(&message.ciphertext));
        let sealed = sender.write_message(&payload, &mut out).unwrap();
        assert_eq!(out[..sealed], expected, "{}", vector.protocol_name);
        let opened = receiver.read_message(&expected, &mut back).unwrap();
        assert_eq!(back[..opened], payload);
        std::mem::swap(&mut sender, &mut receiver);
    }
}

#[test]
fn d2_published_noise_vectors_hold() {
    let names: Vec<_> = published().iter().map(|vector| vector.protocol_name.clone()).collect();
    assert_eq!(
        names,
        [
            "Noise_IK_25519_AESGCM_SHA256",
            "Noise_XXpsk3_25519_AESGCM_SHA256",
            "Noise_XXpsk0+psk1+psk2+psk3_25519_AESGCM_SHA256",
        ]
    );
    published().iter().for_each(run);
}

#[test]
fn d2_a_first_contact_is_what_another_implementation_computes() {
    run(&own());
}

#[test]
fn d2_an_appliance_answers_a_first_contact_that_another_implementation_opened() {
    let vector = own();
    let mut opening = bytes(&vector.init_prologue);
    opening.extend(bytes(&vector.messages[0].ciphertext));
    let opening = Opening::parse(&opening).unwrap();
    assert_eq!(opening.key_id(), Some([0xDE, 0xAD, 0xBE, 0xEF]));
    let (answered, _) = opening.answer(&samples::appliance(), Some(&samples::secret())).unwrap();
    let Answered::Awaiting(third) = answered else { panic!("a first contact has a message 3") };
    // The vector's message 3 answers another message 2 than ours.
    let recorded = bytes(&vector.messages[2].ciphertext);
    assert!(matches!(third.finish(&recorded), Err(NoiseError::Handshake(_))));
}
