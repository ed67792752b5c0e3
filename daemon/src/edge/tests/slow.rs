//! Peers that are slow on purpose: a byte now and then is not progress.

use super::*;

/// Says one byte a second until the other side hangs up, and answers how long that took.
async fn drip(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, bytes: &[u8]) -> Duration {
    let begun = tokio::time::Instant::now();
    for byte in bytes {
        let sent = stream.write_all(&[*byte]).await;
        let heard = timeout(Duration::from_secs(1), stream.read_u8()).await;
        if sent.is_err() || matches!(heard, Ok(Err(_))) {
            return begun.elapsed();
        }
    }
    panic!("{} bytes were taken one by one", bytes.len());
}

/// A client's first message, whole.
fn hello(house: &House) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let config = Arc::new(house.client(rustls::ALL_VERSIONS));
    let mut client = rustls::ClientConnection::new(config, name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

#[tokio::test(start_paused = true)]
async fn p4_a_handshake_that_comes_byte_by_byte_is_given_up() {
    let house = house(true).await;
    for to in [house.https(), house.inform()] {
        let tcp = TcpStream::connect(to).await.unwrap();
        let took = drip(tcp, &hello(&house)).await;
        assert!(took < Duration::from_secs(15), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn p4_a_head_that_comes_byte_by_byte_is_given_up() {
    let house = house(true).await;
    let endless = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}", "X: y\r\n".repeat(60));
    for to in [house.https(), house.inform()] {
        let took = drip(house.tls(to).await, endless.as_bytes()).await;
        assert!(took < Duration::from_secs(15), "{took:?}");
    }
    let plain = TcpStream::connect(house.addresses().http[0]).await.unwrap();
    let took = drip(plain, endless.as_bytes()).await;
    assert!(took < Duration::from_secs(20), "{took:?}");
}
