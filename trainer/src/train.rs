//! The training loop.

use clip_data::{Loader, LoaderOptions, check_shards, read_captions};
use clip_model::shapes::summarize;
use clip_model::{Tokenizer, tokenizer};

use crate::error::{Error, Result};
use crate::inputs::Inputs;
use crate::job::Job;
use crate::log::{Log, StepFigures, Stopwatch};
use crate::schedule::learning_rate;
use crate::settings::Settings;
use crate::state::{self, Run};
use crate::step::train_step;
use crate::validate::{Evaluation, Validator};

/// Trains until the last step of the schedule, and gives the last validation.
///
/// # Errors
/// Those of [`state::start`], of reading shards and of writing checkpoints; [`Error::NotFinite`].
pub fn train(job: &Job) -> Result<Evaluation> {
    // Before anything is created: a misspelt validation shard would show only at the first validation.
    check_shards(&[&job.data[..], &job.val].concat())?;
    let mut run = state::start(job, || new_tokenizer(job))?;
    let validator = Validator {
        preprocess: run.preprocess.clone(),
        tokenizer: run.tokenizer.clone(),
        templates: job.settings.eval.templates()?,
        labels: None,
        objective: job.settings.optim.objective,
        batch: job.settings.eval.batch.unwrap_or(job.settings.optim.batch),
        threads: job.decode_threads,
    };
    let Settings { data, optim, run: every, .. } = &job.settings;
    let options = LoaderOptions {
        batch: optim.batch,
        seed: optim.seed,
        threads: job.decode_threads,
        shuffle_buffer: data.shuffle_buffer,
        preprocess: run.preprocess.clone(),
        augment: data.augment.clone(),
        tokenizer: run.tokenizer.clone(),
        context_length: run.network.config.text.context_length,
        start: run.position,
        cache_mb: data.cache_mb,
        warn: job.warn,
    };
    let mut loader = Loader::new(&job.data, options)?;
    let mut log = Log::open(&job.out, run.step, optim.steps)?;
    log.say(&summary(&run));
    let skipped_before = run.skipped;
    let mut validation = Evaluation::default();
    let mut watch = Stopwatch::default();

    let objective = optim.objective.objective();
    run.network.set_training(true);
    while run.step < optim.steps {
        let lr = learning_rate(optim, run.step);
        let batch = watch.waiting(|| loader.draw())?;
        let inputs = Inputs::of(&run.network.config, &batch, job.device)?;
        let outcome = train_step(
            &mut run.network,
            (&mut run.optimizer, &mut run.scaler),
            &*objective,
            &inputs,
            optim,
            lr,
        )?;
        run.step += 1;
        run.position = batch.position;
        run.skipped = skipped_before + batch.skipped;
        watch.count(batch.size);
        log.tick(run.step);

        let last = run.step == optim.steps;
        if run.step % every.log_every == 0 || last {
            let (samples_per_second, data_wait) = watch.lap();
            log.step(&StepFigures {
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
            validation = validator.run(&mut run.network, &job.val)?;
            run.network.set_training(true);
            log.validation(run.step, &validation)?;
            watch = Stopwatch::default();
        }
    }
    log.say(&format!("{} steps done, the checkpoint is {}", run.step, job.out.display()));
    Ok(validation)
}

/// The tokenizer of a new run; its vocabulary must fit the network's.
fn new_tokenizer(job: &Job) -> Result<Tokenizer> {
    let settings = &job.settings;
    let rows = settings.config()?.text.vocab_size;
    let made = match settings.data.tokenizer.as_str() {
        "openai" => Tokenizer::openai(),
        "train" => tokenizer::train(read_captions(&job.data, job.warn)?.into_iter(), rows)?,
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

fn summary(run: &Run) -> String {
    let size = summarize(&run.network.config);
    let how = if run.job.resume { format!("going on at step {}", run.step) } else { "starting".to_owned() };
    format!(
        "{how}: {:.1} M parameters, {:.2} GFLOP an image, {} steps of {} pairs, {:?}",
        size.parameters() as f64 / 1e6,
        size.image_flops as f64 / 1e9,
        run.job.settings.optim.steps,
        run.job.settings.optim.batch,
        run.network.device
    )
}
