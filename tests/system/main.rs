//! System tests: one binary, so that everything is linked once and runs side by side.
//!
//! Each test starts its own appliance with its own data. A name that begins with a row's id proves that row of
//! `docs/promises.md`.

mod accounts;
mod crowd;
mod d1_connect;
mod d1_identity;
mod d2_encryption;
mod d2_hostile_frames;
mod d3_terminal;
mod descriptor_store;
mod l1_tokens;
mod l2_idle_time;
mod l3_brute_force;
mod l3_console;
mod l4_people;
mod l4_wall;
mod l5_passkeys;
mod l5_second_factors;
mod lifecycle;
mod p1_bad_input;
mod p1_http2_abuse;
mod p1_ports;
mod p1_tls;
mod p2_acme;
mod p3_own_certificate;
mod p4_policy;
mod p4_sslyze;
mod p4_testssl;
mod p5_behind_a_proxy;
mod p5_moving_ports;
mod p6_integrity;
mod p6_observatory;
mod p6_shcheck;
mod rows;
mod scanned;
mod shape;
mod v1_vault_process;
mod v2_key_file;
mod v4_crash_points;
mod v4_real_account;
mod v4_rotation;
