use aerie_protocol::text::DeviceText;

fn clean(text: &str) -> String {
    DeviceText::clean(text, 64).to_string()
}

#[test]
fn ordinary_names_stay_as_they_are() {
    for name in
        ["core-router-1", "Übertragung Süd", "маршрутизатор", "路由器 3", "موجه", "👩‍🔧 workshop"]
    {
        assert_eq!(clean(name), name);
    }
}

#[test]
fn control_characters_are_dropped() {
    assert_eq!(clean("a\0b\r\nc\td\u{1b}[31m\u{7f}\u{85}e"), "abcd[31me");
    assert_eq!(clean("line\u{2028}and\u{2029}paragraph"), "lineandparagraph");
}

#[test]
fn characters_that_turn_the_reading_direction_are_dropped() {
    for turn in "\u{061C}\u{200E}\u{200F}\u{202A}\u{202B}\u{202C}\u{202D}\u{202E}\u{2066}\u{2067}\u{2068}\u{2069}".chars() {
        assert_eq!(clean(&format!("user{turn}txt.exe")), "usertxt.exe");
    }
}

#[test]
fn invisible_characters_are_dropped_and_joiners_stay() {
    assert_eq!(clean("ad\u{200B}min\u{FEFF}\u{2060}\u{E0041}"), "admin");
    assert_eq!(clean("می\u{200C}خواهم"), "می\u{200C}خواهم");
}

#[test]
fn text_is_composed_also_across_what_was_dropped() {
    assert_eq!(clean("u\u{308}ber"), "über");
    assert_eq!(clean("u\u{202E}\u{308}ber"), "über");
    assert_eq!(clean("Å"), "Å");
}

#[test]
fn the_cap_counts_bytes_and_never_cuts_a_character() {
    assert_eq!(DeviceText::clean("abcdef", 3).as_str(), "abc");
    assert_eq!(DeviceText::clean("aé", 2).as_str(), "a");
    assert_eq!(DeviceText::clean("aé", 3).as_str(), "aé");
    assert_eq!(DeviceText::clean("👩👩", 7).as_str(), "👩");
    assert_eq!(DeviceText::clean("é", 1).as_str(), "");
    assert_eq!(DeviceText::clean("abc", 0).as_str(), "");
    // What is dropped does not count.
    assert_eq!(DeviceText::clean("\u{202E}\u{202E}abc", 3).as_str(), "abc");
}

#[test]
fn white_space_goes_from_both_ends_also_after_the_cut() {
    assert_eq!(clean("  router \u{a0}"), "router");
    assert_eq!(DeviceText::clean("ab cd", 3).as_str(), "ab");
}

#[test]
fn nothing_left_is_empty() {
    assert!(DeviceText::clean("\u{202E}\0 ", 64).is_empty());
    assert!(DeviceText::default().is_empty());
}
