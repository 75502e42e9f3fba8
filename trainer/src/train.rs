//! The training loop.

use std::path::PathBuf;

use clip_model::Tokenizer;
use clip_model::templates::Template;
use clip_model::tokenizer;
use tch::Device;

use crate::data::{Batch, Loader, LoaderOptions, check_shards, read_captions};
use crate::error::{Error, Result};
use crate::log::{Line, Log, Stopwatch};
use crate::schedule::learning_rate;
use crate::settings::Settings;
use crate::state::{self, Run, Start};
use crate::step::{tensors, train_step};
use crate::validate::{Report, Validator};

/// What the command line asks for.
#[derive(Debug, Clone)]
pub struct Job {
    /// The settings.
    pub settings: Settings,
    /// Training shards.
    pub data: Vec<PathBuf>,
    /// Validation shards, each reported by itself; may be none.
    pub val: Vec<PathBuf>,
    /// The output folder.
    pub out: PathBuf,
    /// The device.
    pub device: Device,
    /// Go on with the run in the output folder.
    pub resume: bool,
    /// A checkpoint to start from.
    pub init: Option<PathBuf>,
    /// Threads that decode pictures.
    pub decode_threads: usize,
}

/// Trains until the last step of the schedule, and gives the last validation.
pub fn train(job: &Job) -> Result<Vec<Report>> {
    // Before anything is created: a misspelt validation shard would show only at the first validation.
    check_shards(&[&job.data[..], &job.val].concat())?;
    let mut run = state::start(
        &Start {
            folder: &job.out,
            settings: &job.settings,
            shards: &job.data,
            device: job.device,
            init: job.init.as_deref(),
            resume: job.resume,
        },
        || new_tokenizer(&job.settings, &job.data),
    )?;
    let validator = validator(&run)?;
    let mut loader = Loader::new(job.data.clone(), loader_options(&run, job.decode_threads)?)?;
    let (optim, every) = (run.settings.optim.clone(), run.settings.run.clone());
    let mut log = Log::open(&run.folder, run.step, optim.steps)?;
    log.say(&summary(&run, job.resume));
    let skipped_before = run.skipped;
    let mut reports = Vec::new();
    let mut watch = Stopwatch::default();

    run.network.set_training(true);
    while run.step < optim.steps {
        let lr = learning_rate(&optim, run.step);
        let batch = watch.waiting(|| next_batch(&mut loader))?;
        let (images, ids) = tensors(&batch, job.device)?;
        let outcome = train_step(&mut run.network, &mut run.optimizer, (&images, &ids), &optim, lr)?;
        run.step += 1;
        run.position = batch.position;
        run.skipped = skipped_before + batch.skipped;
        watch.count(batch.size);
        log.tick(run.step);

        let last = run.step == optim.steps;
        if run.step % every.log_every == 0 || last {
            let (samples_per_second, data_wait) = watch.lap();
            log.step(&Line {
                step: run.step,
                loss: outcome.loss,
                lr,
                logit_scale: run.network.logit_scale().f_double_value(&[])?,
                gradient_norm: outcome.gradient_norm,
                samples_per_second,
                data_wait,
                skipped: run.skipped,
            })?;
        }
        if run.step % every.checkpoint_every == 0 || last {
            run.save()?;
        }
        let due = every.validate_every > 0 && run.step % every.validate_every == 0;
        if !job.val.is_empty() && (due || last) {
            reports = validator.run(&mut run.network, &job.val)?;
            run.network.set_training(true);
            log.validation(run.step, &reports)?;
            watch = Stopwatch::default();
        }
    }
    log.say(&format!("{} steps done, the checkpoint is {}", run.step, run.folder.display()));
    Ok(reports)
}

fn next_batch(loader: &mut Loader) -> Result<Batch> {
    loader.next().unwrap_or_else(|| Err(Error::Data("the stream of samples ended".into())))
}

fn loader_options(run: &Run, threads: usize) -> Result<LoaderOptions> {
    let Settings { data, optim, .. } = &run.settings;
    Ok(LoaderOptions {
        batch: optim.batch,
        seed: optim.seed,
        threads,
        shuffle_buffer: data.shuffle_buffer,
        preprocess: run.settings.preprocess()?,
        augment: data.augment.clone(),
        tokenizer: run.tokenizer.clone(),
        context_length: run.network.config.text.context_length,
        start: run.position,
        cache_mb: data.cache_mb,
    })
}

fn validator(run: &Run) -> Result<Validator> {
    let template: Template = run.settings.run.template.parse()?;
    let preprocess = run.settings.preprocess()?;
    Ok(Validator { preprocess, tokenizer: run.tokenizer.clone(), template, labels: None })
}

/// The tokenizer of a new run; its vocabulary must fit the network's.
fn new_tokenizer(settings: &Settings, shards: &[PathBuf]) -> Result<Tokenizer> {
    let rows = settings.config()?.text.vocab_size;
    let made = match settings.data.tokenizer.as_str() {
        "openai" => Tokenizer::openai(),
        "train" => tokenizer::train(read_captions(shards)?.into_iter(), rows)?,
        path => Tokenizer::open(path.as_ref())?,
    };
    let tokens = made.vocab_size();
    if tokens > rows {
        return Err(Error::Settings(format!(
            "the tokenizer has {tokens} tokens, the text tower's vocab_size is {rows}: make vocab_size {tokens}, or set \
             data.tokenizer = \"train\" for a vocabulary of {rows} tokens"
        )));
    }
    Ok(made)
}

fn summary(run: &Run, resumed: bool) -> String {
    let size = clip_model::shapes::summarize(&run.network.config);
    let how = if resumed { format!("going on at step {}", run.step) } else { "starting".to_owned() };
    format!(
        "{how}: {:.1} M parameters, {:.2} GFLOP an image, {} steps of {} pairs, {:?}",
        size.parameters() as f64 / 1e6,
        size.image_flops as f64 / 1e9,
        run.settings.optim.steps,
        run.settings.optim.batch,
        run.network.device
    )
}
