//! A small HTTPS client: one connection per request, no redirects, no cookies, every header visible.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where every call of the network API begins.
const API: &str = "/nms/api/v2.1";

/// Talks to one address, with a token or without.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    token: Option<String>,
    source: Option<IpAddr>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; panics with the body when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("status {}, no JSON: {:?}", self.status, self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// One header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Panics unless the status is `status`; hands itself on.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "the answer was: {}", self.text());
        self
    }
}

impl Client {
    /// A client without a token.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, token: None, source: None }
    }

    /// The same with a token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same from a chosen address of this machine.
    pub fn coming_from(&self, source: IpAddr) -> Self {
        Self { source: Some(source), ..self.clone() }
    }

    /// The token, if there is one.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The address it talks to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// GET below the API's prefix.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// POST below the API's prefix.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    /// PUT below the API's prefix.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// DELETE below the API's prefix.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// DELETE below the API's prefix, with a body.
    pub async fn delete_with(&self, path: &str, body: Value) -> Answer {
        self.call(Method::DELETE, path, Some(body)).await
    }

    /// Like [`Client::get`]; nothing where the appliance goes away in the middle of it.
    pub async fn try_get(&self, path: &str) -> Option<Answer> {
        self.try_call(Method::GET, path, None).await
    }

    /// Like [`Client::post`]; nothing where the appliance goes away in the middle of it.
    pub async fn try_post(&self, path: &str, body: Value) -> Option<Answer> {
        self.try_call(Method::POST, path, Some(body)).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let (path, headers, body) = self.prepared(path, body);
        self.send(method, &path, headers, body).await
    }

    async fn try_call(&self, method: Method, path: &str, body: Option<Value>) -> Option<Answer> {
        let (path, headers, body) = self.prepared(path, body);
        let tls = self.connect().await.ok()?;
        let mut request = request(method, &path, &self.address.to_string(), body);
        request.headers_mut().extend(headers);
        exchange(tls, request).await.ok()
    }

    fn prepared(&self, path: &str, body: Option<Value>) -> (String, HeaderMap, Vec<u8>) {
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            headers.insert("x-auth-token", HeaderValue::from_str(token).expect("a header value"));
        }
        let body = body.map_or_else(Vec::new, |value| {
            headers.insert("content-type", HeaderValue::from_static("application/json"));
            value.to_string().into_bytes()
        });
        (format!("{API}{path}"), headers, body)
    }

    /// Any request, exactly as said, over TLS.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Answer {
        let tls = self.connect().await.expect("a TLS connection");
        let mut request = request(method, path, &self.address.to_string(), body);
        for (name, value) in &headers {
            request.headers_mut().insert(name, value.clone());
        }
        exchange(tls, request).await.expect("an HTTP answer")
    }

    /// Any request in the clear: what the HTTP port is asked.
    pub async fn send_plain(&self, method: Method, host: &str, path: &str) -> Answer {
        self.try_plain(method, host, path).await.expect("an HTTP answer")
    }

    /// Like [`Client::send_plain`]; nothing where nobody answers.
    pub async fn try_plain(&self, method: Method, host: &str, path: &str) -> Option<Answer> {
        let tcp = TcpStream::connect(self.address).await.ok()?;
        exchange(tcp, request(method, path, host, Vec::new())).await.ok()
    }

    /// GET of any path, without a token.
    pub async fn fetch(&self, path: &str) -> Answer {
        self.send(Method::GET, path, HeaderMap::new(), Vec::new()).await
    }

    /// A bare TLS connection, any certificate accepted.
    pub async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = match self.source {
            Some(source) => {
                let socket = TcpSocket::new_v4()?;
                socket.bind((source, 0).into())?;
                socket.connect(self.address).await?
            }
            None => TcpStream::connect(self.address).await?,
        };
        self.greet(tcp).await
    }

    /// TLS on a connection that is open already.
    pub async fn greet(&self, tcp: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(accept_any_certificate())).connect(name, tcp).await
    }

    /// The certificate that is shown (DER), and how long its chain is.
    pub async fn shown_certificate(&self) -> (Vec<u8>, usize) {
        let tls = self.connect().await.expect("a TLS connection");
        let chain = tls.get_ref().1.peer_certificates().expect("a certificate");
        (chain[0].to_vec(), chain.len())
    }

    /// The certificate that is shown, if whoever trusts it takes it for `name`.
    pub async fn certificate_for(&self, name: &str) -> Option<CertificateDer<'static>> {
        let stream = self.connect().await.ok()?;
        let shown = stream.get_ref().1.peer_certificates()?.first()?.clone().into_owned();
        let mut roots = RootCertStore::empty();
        roots.add(shown.clone()).ok()?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let name = ServerName::try_from(name).expect("a name");
        let verifier = verifier.build().ok()?;
        verifier.verify_server_cert(&shown, &[], &name, &[], UnixTime::now()).ok()?;
        Some(shown)
    }

    /// GET `/healthz`: the status, or nothing while nobody listens.
    pub async fn health(&self) -> Option<u16> {
        let tls = self.connect().await.ok()?;
        let request = request(Method::GET, "/healthz", &self.address.to_string(), Vec::new());
        exchange(tls, request).await.ok().map(|answer| answer.status)
    }
}

fn request(method: Method, path: &str, host: &str, body: Vec<u8>) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header("host", host);
    request.body(Full::new(Bytes::from(body))).expect("a request")
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Answer, hyper::Error> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let talk = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes().to_vec();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    };
    // The connection's own future only drives; the answer comes from the other one.
    let drive = async {
        drop(connection.await);
        std::future::pending().await
    };
    tokio::select! {
        answer = talk => answer,
        never = drive => never,
    }
}

/// A TLS client that accepts every certificate, as a browser does after the owner said yes.
pub fn accept_any_certificate() -> ClientConfig {
    accept_any_certificate_with(aws_lc_rs::default_provider())
}

/// The same with suites and key exchanges of the caller's choice.
pub fn accept_any_certificate_with(provider: CryptoProvider) -> ClientConfig {
    let provider = Arc::new(provider);
    ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth()
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
