use super::*;

const HASH: &str = "$2y$12$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u";

/// As the docs show it.
fn whole() -> String {
    format!(
        "host_name = \"Net.example.org\"\n\n[network]\ninterface = \"eth0\"\n\
         address = \"192.0.2.2/24\"\ngateway = \"192.0.2.1\"\ndns = [\"192.0.2.53\", \"2001:db8::53\"]\n\n\
         [account]\nusername = \"olga\"\nemail = \"olga@example.net\"\npassword_hash = \"{HASH}\"\n\n\
         [ports]\nhttp = 80\nhttps = 443\ninform = [\"192.0.2.2:8444\"]\n\n\
         [time]\nzone = \"Europe/Vienna\"\nntp = [\"ntp.example.net\", \"192.0.2.123\"]\n"
    )
}

fn parse(text: &str) -> Result<Provisioning, Vec<Fault>> {
    read(text.as_bytes(), &Config::default())
}

/// Every fault, as it is told.
fn told(text: &str) -> Vec<String> {
    let faults = parse(text).err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a2_a_whole_file_is_read_and_everything_may_be_left_out() {
    let read = parse(&whole()).ok().unwrap();
    assert_eq!(read.host.name.as_deref(), Some("net.example.org"));
    let network = read.host.network.unwrap();
    let address = StaticAddress {
        address: "192.0.2.2".parse().unwrap(),
        prefix: 24,
        gateway: "192.0.2.1".parse().ok(),
    };
    assert_eq!(network.addressing, Addressing::Static(address));
    assert_eq!((network.interface.as_deref(), network.dns.len()), (Some("eth0"), 2));
    let account = read.account.unwrap();
    assert_eq!((&*account.username, &*account.password_hash), ("olga", HASH));
    let ports = read.ports.unwrap();
    assert_eq!(ports.http, ["0.0.0.0:80", "[::]:80"].map(|one| one.parse().unwrap()));
    assert_eq!(ports.inform, ["192.0.2.2:8444".parse().unwrap()]);
    assert_eq!(read.host.ntp, ["ntp.example.net", "192.0.2.123"]);
    for part in ["host_name = \"a\"", "[network]\ndhcp = true", "[ports]", "[time]"] {
        assert!(parse(part).is_ok(), "{part}: {:?}", told(part));
    }
    let without_address = format!("[account]\nusername = \"o\"\npassword_hash = \"{HASH}\"");
    assert_eq!(parse(&without_address).ok().unwrap().account.unwrap().email, "");
    assert!(parse(&format!("\u{feff}{}", whole().replace('\n', "\r\n"))).is_ok());
}

#[test]
fn a2_each_fault_names_its_line_and_key_and_what_to_do() {
    let cases = [
        ("host_name = \"a_b\"", 1, "host_name: ", "no underscore"),
        ("host_name = 7", 1, "host_name: ", "host_name = \"net.example.org\""),
        ("\nhostname = \"a\"", 2, "hostname: there is no such key", "host_name, network"),
        ("network = 1", 1, "network: ", "[network]"),
        ("[network]\n", 1, "[network] address: it is missing", "dhcp = true"),
        ("[network]\ndhcp = false", 1, "[network] address", "dhcp = true"),
        ("[network]\ndhcp = \"yes\"", 2, "[network] dhcp: ", "dhcp = true"),
        ("[network]\ndhcp = true\naddress = \"192.0.2.2/24\"", 3, "[network] address", "Take dhcp"),
        ("[network]\ndhcp = true\ngateway = \"192.0.2.1\"", 3, "[network] gateway", "Take it out"),
        ("[network]\naddress = \"192.0.2.2\"", 2, "[network] address", "192.0.2.2/24"),
        ("[network]\naddress = \"192.0.2.0/24\"", 2, "[network] address", "192.0.2.2/24"),
        ("[network]\naddress = \"192.0.2.255/24\"", 2, "[network] address", "192.0.2.2/24"),
        ("[network]\naddress = \"192.0.2.2/33\"", 2, "[network] address", "192.0.2.2/24"),
        ("[network]\naddress = \"192.0.2.2/0\"", 2, "[network] address", "192.0.2.2/24"),
        ("[network]\naddress = \"127.0.0.1/8\"", 2, "[network] address", "192.0.2.2/24"),
        (
            "[network]\naddress = \"192.0.2.2/24\"\ngateway = \"192.0.3.1\"",
            3,
            "[network] gateway",
            "router",
        ),
        (
            "[network]\naddress = \"192.0.2.2/24\"\ngateway = \"192.0.2.2\"",
            3,
            "[network] gateway",
            "router",
        ),
        ("[network]\ndhcp = true\ninterface = \"eth*\"", 3, "[network] interface", "ip link"),
        ("[network]\ndhcp = true\ndns = [\"a.example\"]", 3, "[network] dns", "no names"),
        ("[network]\ndhcp = true\ndns = \"192.0.2.53\"", 3, "[network] dns", "dns = ["),
        ("[network]\ndhcp = true\nmtu = 1500", 3, "[network] mtu", "interface, dhcp, address"),
        ("[account]\nusername = \"o\"", 1, "[account] password_hash: it is", "hash-password"),
        ("[account]\nusername = \"a b\"", 2, "[account] username", "64 characters"),
        ("[account]\nemail = \"o\"", 2, "[account] email", "olga@example.net"),
        ("[account]\npassword_hash = \"hunter2\"", 2, "[account] password_hash", "60 characters"),
        ("[account]\npassword = \"hunter2\"", 2, "[account] password: there", "password_hash"),
        ("[ports]\nhttps = 0", 2, "[ports] https", "1 to 65535"),
        ("[ports]\nhttps = 65536", 2, "[ports] https", "1 to 65535"),
        ("[ports]\nhttps = []", 2, "[ports] https", "nobody could reach the GUI"),
        ("[ports]\nhttp = 443", 2, "[ports] http: 0.0.0.0:443 stands there twice", "boot file"),
        ("[ports]\nhttps = 8443\ninform = 8443", 3, "[ports] inform", "twice"),
        ("[ports]\nhttps = [\"443\"]", 2, "[ports] https", "192.0.2.1:443"),
        ("[ports]\nhttps = \"443\"", 2, "[ports] https", "https = 443"),
        ("[time]\nzone = \"../etc\"", 2, "[time] zone", "Europe/Vienna"),
        ("[time]\nntp = [\"a b\"]", 2, "[time] ntp", "ntp.example.net"),
        ("[[account]]\n", 1, "account: ", "[account]"),
        ("host_name = \"a\"\nhost_name = \"b\"", 2, "", "key = \"text\""),
        ("host_name = \"a", 1, "", "key = \"text\""),
        ("# nothing", 1, "the file asks for nothing", "host_name"),
    ];
    for (text, line, key, fix) in cases {
        let told = told(text);
        let found = told.iter().find(|fault| fault.starts_with(&format!("line {line}: {key}")));
        let found = found.unwrap_or_else(|| panic!("{text:?}: {told:?}"));
        assert!(found.contains(fix), "{text:?}: {found}");
    }
}

#[test]
fn a2_all_faults_are_told_at_once_in_order_and_no_value_is_repeated() {
    let text = "host_name = \"s3cret_\"\n[network]\naddress = \"s3cret\"\ndns = [\"s3cret\"]\n\
        [account]\nusername = \"s3 cret\"\npassword_hash = \"s3cret\"\n[ports]\nhttps = \"s3cret\"\n\
        x = = s3cret\n[time]\nzone = \"s3cret/\"\n";
    let told = told(text);
    let lines: Vec<&str> = told.iter().filter_map(|fault| fault.split(':').next()).collect();
    let wanted = [1, 3, 4, 6, 7, 9, 10, 12].map(|line| format!("line {line}"));
    assert_eq!(lines, wanted, "{told:#?}");
    assert!(!told.concat().contains("s3cret"), "{told:#?}");
}

#[test]
fn a2_what_is_no_text_or_too_long_is_told_and_long_lists_are_cut() {
    let faults = |bytes: &[u8]| read(bytes, &Config::default()).err().unwrap();
    assert!(faults(&vec![b'#'; MOST_BYTES + 1])[0].problem.contains("64 KiB"));
    let fault = &faults(b"host_name = \"a\"\n# \xff\n")[0];
    assert_eq!((fault.line, fault.problem.contains("UTF-8")), (2, true));
    let many: Vec<String> = (0..500).map(|number| format!("key{number} = 1")).collect();
    let told = told(&many.join("\n"));
    assert!(told.len() < 60 && told.last().unwrap().contains("more faults"), "{}", told.len());
}

#[test]
fn a2_addresses_of_both_families_are_taken() {
    for (address, gateway) in [
        ("10.1.2.3/8", "10.255.255.254"),
        ("192.0.2.0/31", "192.0.2.1"),
        ("2001:db8::2/64", "2001:db8::1"),
        ("2001:db8::2/64", "fe80::1"),
        ("2001:db8::2/128", "fe80::1"),
    ] {
        let text = format!("[network]\naddress = \"{address}\"\ngateway = \"{gateway}\"");
        assert!(parse(&text).is_ok(), "{text}: {:?}", told(&text));
    }
}

#[test]
fn l6_a_cheap_hash_is_refused_unless_the_boot_file_takes_such() {
    let text = format!(
        "[account]\nusername = \"o\"\npassword_hash = \"{}\"",
        HASH.replace("$12$", "$10$")
    );
    assert!(told(&text)[0].contains("cost of 12 to 16"), "{:?}", told(&text));
    let mut config = Config::default();
    config.accounts.bcrypt_cost = 13;
    assert!(read(text.replace("$10$", "$12$").as_bytes(), &config).is_ok());
    config.accounts.bcrypt_cost = 4;
    assert!(read(text.as_bytes(), &config).is_ok());
}

#[test]
fn what_was_read_is_kept_as_it_is() {
    let read = parse(&whole()).ok().unwrap();
    let text = serde_json::to_string(&read).unwrap();
    let again: Provisioning = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), text);
    assert_eq!(again.host, read.host);
}
