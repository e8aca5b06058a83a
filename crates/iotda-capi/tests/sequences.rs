//! Sequences of C calls: by hand, and made at random, the same in each run. Under Miri, where all of this runs without a
//! socket, fewer.

use iotda_capi::sequences::run;

const BY_HAND: [&[u8]; 8] = [
    b"",
    // One thread: authenticates, a message, properties, a batch, a builder, the token.
    b"\xff\0\0\0\x01\x05hello\x02\x01s\x04\x03\x01a\x02b \x01c\x06\x01\x01n\x01v\x03\x09\xff\x08\x01d",
    // Bytes one by one.
    b"\0\0\0\x01\x03abc\x04\x07\x01a\x01b\x01c\x01d\x01e\x01f\x01g",
    // Every second call of the transport fails, and every third.
    b"\xff\x02\0\x01\x01a\x01\x01b\x02\x01s",
    b"\xff\x03\0\x01\x01a\x01\x01b\x02\x01s\x04\x02\x01a\x01b",
    // Three threads; the cancel handle is triggered in the middle.
    b"\xff\0\x02\x81\x01a\x82\x01s\x87\x84\x02\x01a\x01b\x81\x01b\x81\x01c\x07\x81\x01a\x81\x01b",
    b"\xff\x05\x02\x01\x01a\x02\x01s\x01\x01a\x04\x02\x01a\x01b\x01\x01b\x81\x01c\x07\x81\x01a\x81\x01b",
    // What is wrong in itself.
    b"\xff\0\0\x02\0\x03\x02{}\x05\x03[1]\x04\0\x09\0\x08\x03a b",
];

#[test]
fn those_made_by_hand_keep_the_contract() {
    BY_HAND.into_iter().for_each(run);
}

#[test]
fn those_made_at_random_keep_the_contract() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        // xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    for _ in 0..if cfg!(miri) { 20 } else { 2_000 } {
        let length = usize::from(random());
        let data: Vec<u8> = (0..length)
            .map(|_| match random() % 4 {
                // Short texts, and kinds of calls; others for what is odd.
                0 => random(),
                1 => b"abcs_-"[usize::from(random() % 6)],
                _ => random() % 11,
            })
            .collect();
        let shown = data.escape_ascii().to_string();
        assert!(std::panic::catch_unwind(|| run(&data)).is_ok(), "fails for the reason above: {shown}");
    }
}
