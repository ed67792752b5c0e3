//! Other accounts than the owner's, their tokens, and the routes as the appliance lists them.

use crate::appliance::{Appliance, Owner, PASSWORD};
use crate::client::{Answer, Client};
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

/// A line of the appliance's own list of calls.
#[derive(Clone, Debug)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The whole path, with `{id}` where an id stands.
    pub path: String,
    /// Who may, in the word of the table of routes.
    pub access: String,
    /// Whether a fresh proof is asked for.
    pub step_up: bool,
}

impl Appliance {
    /// Every call, as `openapi.json` lists it.
    pub async fn routes(&self) -> Vec<Route> {
        let described = self.client().get("/openapi.json").await.expect(200).json();
        let mut routes = Vec::new();
        for (path, calls) in described["paths"].as_object().expect("paths") {
            for (method, call) in calls.as_object().expect("calls") {
                let method = Method::from_bytes(method.to_uppercase().as_bytes());
                routes.push(Route {
                    method: method.expect("a method"),
                    path: path.clone(),
                    access: call["x-rule"]["access"].as_str().expect("who may").to_owned(),
                    step_up: call["x-rule"]["stepUp"].as_bool().expect("whether a proof is due"),
                });
            }
        }
        routes
    }

    /// Logs an account in.
    pub async fn log_in_as(&self, name: &str, password: &str) -> Client {
        let body = json!({"username": name, "password": password});
        let answer = self.client().post("/user/login", body).await.expect(200);
        self.client().with_token(answer.header("x-auth-token").expect("a token"))
    }
}

impl Owner {
    /// Makes an account that may log in at once, and returns its id.
    pub async fn person(&self, name: &str, role: &str) -> String {
        let body = json!({
            "username": name, "email": format!("{name}@example.net"), "role": role,
            "password": PASSWORD, "aerie": {"forceChangePassword": false},
        });
        let made = self.client.post("/users", body).await.expect(200).json();
        made["id"].as_str().expect("an id").to_owned()
    }

    /// Makes an API token or an app key, and returns it.
    pub async fn token(&self, scope: &str, aerie: Value) -> String {
        let body = json!({"name": scope, "scope": scope, "aerie": aerie});
        let made = self.client.post("/token", body).await.expect(200).json();
        made["token"].as_str().expect("a token").to_owned()
    }
}

impl Client {
    /// A call to a whole path with some headers and no body.
    pub async fn ask(&self, method: &Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let pair = |(name, value): &(&str, &str)| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        };
        let headers: HeaderMap = headers.iter().map(pair).collect();
        self.send(method.clone(), path, headers, Vec::new()).await
    }
}
