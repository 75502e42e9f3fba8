//! One tower: a file that an engine has opened, checked against the manifest.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use clip_model::manifest::{self, Sizes};

use crate::embeddings::dot;
use crate::engine::{Elements, EngineInfo, Port, Session, Target, View};
use crate::error::{Error, Result};
use crate::source::Opened;

/// How far the length of an embedding may be from 1.
const LENGTH_TOLERANCE: f32 = 0.01;

/// One tower.
#[derive(Debug)]
pub(crate) struct Encoder {
    file: PathBuf,
    session: ManuallyDrop<Box<dyn Session>>,
    /// The process that opened it. In a fork of it, the session's threads do not exist, and waiting for them would never end.
    process: u32,
    engine: EngineInfo,
    unverified: bool,
    input: String,
    /// Rows of a run, where not any number of them is taken.
    batch: Option<Sizes>,
    /// Tokens of a text, where not any number of them is taken.
    length: Option<Sizes>,
    embed_dim: usize,
}

impl Encoder {
    /// Checks that what was opened takes batches of `shape`, `None` where any size is taken, and gives embeddings of
    /// `embed_dim` numbers.
    pub fn new(opened: Opened, shape: &[Option<usize>], embed_dim: usize) -> Result<Encoder> {
        let Opened { file, session, encoder, engine } = opened;
        let manifest::Encoder { input, output, batch, .. } = &encoder;
        let port = |name: &str, element: &str, shape: &[Option<usize>]| Port {
            name: name.to_owned(),
            element: element.to_owned(),
            shape: [&[*batch], shape].concat(),
        };
        check(&file, "input", &port(&input.name, input.element.name(), shape), &session.inputs())?;
        check(&file, "output", &port(output, "float32", &[Some(embed_dim)]), &session.outputs())?;
        let plan = encoder.plan();
        Ok(Encoder {
            file,
            session: ManuallyDrop::new(session),
            process: std::process::id(),
            engine,
            unverified: plan.is_some_and(|plan| !plan.verified),
            batch: plan.map(|plan| plan.batch).or(batch.map(Sizes::fixed)),
            length: plan.and_then(|plan| plan.length),
            input: encoder.input.name,
            embed_dim,
        })
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What runs it.
    pub fn engine(&self) -> &EngineInfo {
        &self.engine
    }

    /// Whether it is a plan that nobody has compared with its graph.
    pub fn is_unverified(&self) -> bool {
        self.unverified
    }

    /// The most images or texts in a run, if that is limited.
    pub fn most(&self) -> Option<usize> {
        self.batch.map(|batch| batch.max)
    }

    /// Rows of a run on so many images or texts: what is missing in a batch of a least size has to be filled up.
    pub fn rows(&self, items: usize) -> usize {
        self.batch.map_or(items, |batch| items.max(batch.min))
    }

    /// The fewest and the most tokens of a text, if that is limited.
    pub fn length(&self) -> Option<Sizes> {
        self.length
    }

    /// Refuses to go on in a fork of the process that opened it.
    pub fn check_process(&self) -> Result<()> {
        match self.process == std::process::id() {
            true => Ok(()),
            false => Err(Error::Forked { opened_by: self.process }),
        }
    }

    /// Runs the graph on `input`, whose shape begins with [`Encoder::rows`] of `items`, and writes the embeddings to `values`,
    /// `[rows, embed_dim]`, of which the first `items` count.
    ///
    /// Rows that are not of length one are refused; `number` says which image or text of the call a row belongs to.
    pub fn run(
        &self,
        (shape, elements): (&[usize], Elements<'_>),
        items: usize,
        values: &mut [f32],
        number: impl Fn(usize) -> usize,
    ) -> Result<()> {
        self.check_process()?;
        let target = Target { shape: &[self.rows(items), self.embed_dim], values: &mut *values };
        self.session.run_into(&[(&self.input, View { shape, elements })], target)?;
        for (row, embedding) in values.chunks_exact(self.embed_dim).take(items).enumerate() {
            let length = dot(embedding, embedding).sqrt();
            // NaN lies in no range.
            if !(1.0 - LENGTH_TOLERANCE..=1.0 + LENGTH_TOLERANCE).contains(&length) {
                return Err(Error::Embedding { file: self.file.clone(), row: number(row), length });
            }
        }
        Ok(())
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            // SAFETY: it is not used after this.
            unsafe { ManuallyDrop::drop(&mut self.session) };
        }
    }
}

/// Checks the one input or output of a graph. A size that the graph leaves free fits; one that it fixes must be the
/// manifest's, the batch too.
fn check(file: &Path, kind: &str, asked: &Port, found: &[Port]) -> Result<()> {
    let fits = |port: &Port| {
        (&port.name, &port.element, port.shape.len()) == (&asked.name, &asked.element, asked.shape.len())
            && port.shape.iter().zip(&asked.shape).all(|(found, asked)| found.is_none() || found == asked)
    };
    if let [port] = found
        && fits(port)
    {
        return Ok(());
    }
    let shown: Vec<String> = found.iter().map(Port::to_string).collect();
    Err(Error::Mismatch {
        file: file.to_owned(),
        expected: format!("the {kind} {asked}"),
        found: if shown.is_empty() { "none".to_owned() } else { shown.join(", ") },
    })
}
