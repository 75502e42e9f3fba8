//! Triton's side of a conversation: the inference protocol that it shares with KServe, version 2, over HTTP, with the numbers of
//! the input behind the JSON as they lie in memory ("binary tensor data extension").

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use ureq::Agent;

/// The wait for an answer; a model may still be loading.
const PATIENCE: Duration = Duration::from_secs(60);

/// The header that says how long the JSON is.
const JSON_LENGTH: &str = "Inference-Header-Content-Length";

/// What goes in.
pub enum Numbers {
    Float32(Vec<f32>),
    Uint8(Vec<u8>),
}

impl Numbers {
    fn datatype(&self) -> &'static str {
        match self {
            Numbers::Float32(_) => "FP32",
            Numbers::Uint8(_) => "UINT8",
        }
    }

    fn bytes(self) -> Vec<u8> {
        match self {
            Numbers::Float32(numbers) => numbers.into_iter().flat_map(f32::to_le_bytes).collect(),
            Numbers::Uint8(bytes) => bytes,
        }
    }
}

/// A server, by the beginning of its URLs, as `http://localhost:8000`.
pub struct Server {
    agent: Agent,
    url: String,
}

impl Server {
    pub fn new(url: &str) -> Server {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        Server { agent: config.build().into(), url: url.trim_end_matches('/').to_owned() }
    }

    /// Whether it has a model of this name, ready to run.
    pub fn has(&self, model: &str) -> Result<bool> {
        let url = format!("{}/v2/models/{model}/ready", self.url);
        let answer = self.agent.get(&url).call().with_context(|| format!("cannot reach {url}"))?;
        Ok(answer.status().is_success())
    }

    /// Runs a model on one input, its name, shape and numbers; gives the numbers of its output of the name `output`.
    pub fn infer(
        &self,
        model: &str,
        (name, shape, numbers): (&str, &[usize], Numbers),
        output: &str,
    ) -> Result<Vec<f64>> {
        let url = format!("{}/v2/models/{model}/infer", self.url);
        let datatype = numbers.datatype();
        let bytes = numbers.bytes();
        let head = json!({
            "inputs": [{
                "name": name, "shape": shape, "datatype": datatype,
                "parameters": { "binary_data_size": bytes.len() },
            }],
            "outputs": [{ "name": output }],
        })
        .to_string();
        let body = [head.as_bytes(), &bytes].concat();
        let request = self.agent.post(&url).header(JSON_LENGTH, head.len().to_string());
        let request = request.header("Content-Type", "application/octet-stream");
        let mut answer = request.send(&body[..]).with_context(|| format!("cannot reach {url}"))?;
        let status = answer.status();
        let said = answer.body_mut().read_to_string().with_context(|| format!("cannot read from {url}"))?;
        let answer: Value = serde_json::from_str(&said).unwrap_or_default();
        if !status.is_success() {
            bail!("{url} answers {status}: {}", answer["error"].as_str().unwrap_or("no reason is given"));
        }
        let outputs = answer["outputs"].as_array().into_iter().flatten();
        let data =
            outputs.filter(|tensor| tensor["name"] == output).find_map(|tensor| tensor["data"].as_array());
        let data = data.ok_or_else(|| anyhow!("{url} gave no output {output:?}"))?;
        let numbers = data.iter().map(|number| number.as_f64());
        numbers.collect::<Option<_>>().ok_or_else(|| anyhow!("{url} gave something else than numbers"))
    }
}
