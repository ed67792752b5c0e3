//! The GUI's page names the hash of each script and style that it loads, and the hash is true.

use aerie_tests::{Answer, Appliance};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::{HeaderMap, Method};
use sha2::{Digest, Sha384};

/// The value of one attribute of a tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = tag.split_once(&format!(" {name}=\""))?;
    after.split('"').next()
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_each_script_and_style_of_the_page_carries_its_own_hash() {
    let appliance = Appliance::start().await;
    let get = async |path: &str| -> Answer {
        appliance.client().send(Method::GET, path, HeaderMap::new(), Vec::new()).await.expect(200)
    };
    let page = get("/nms/").await.text();
    assert!(page.contains("id=\"app\""), "the GUI is not built: run `make gui`");
    let tags = page.split('<').filter_map(|rest| rest.split('>').next());
    let mut checked = 0;
    for tag in tags {
        let script = tag.starts_with("script").then(|| attribute(tag, "src").expect(tag));
        let linked = tag.starts_with("link") && !tag.contains("rel=\"icon\"");
        let Some(address) = script.or_else(|| attribute(tag, "href").filter(|_| linked)) else {
            continue;
        };
        assert!(address.starts_with("/nms/"), "from elsewhere: {tag}");
        if tag.contains(" as=\"font\"") {
            // A style names it, and styles cannot name hashes; a font runs nothing.
            continue;
        }
        let hash = STANDARD.encode(Sha384::digest(&get(address).await.body));
        assert_eq!(attribute(tag, "integrity"), Some(&*format!("sha384-{hash}")), "{tag}");
        checked += 1;
    }
    assert!(checked >= 3, "only {checked} scripts and styles in {page}");
}
