//! The training loop.

use std::path::PathBuf;
use std::time::Instant;

use clip_checkpoint::Checkpoint;
use clip_data::{Loader, LoaderOptions, check_shards, check_shards_with};
use clip_model::shapes::summarize;
use tch::Device;

use crate::curves;
use crate::diagnosis::Diagnosis;
use crate::error::{Error, Result};
use crate::inputs::Inputs;
use crate::job::Job;
use crate::log::{Log, StepFigures, Stopwatch};
use crate::memory;
use crate::network::Network;
use crate::objective::{Distillation, Objective, ObjectiveName, Teacher};
use crate::schedule::learning_rate;
use crate::settings::{KeepBest, Settings};
use crate::state::{self, Run};
use crate::step::train_step;
use crate::validate::{Evaluation, Validator};

/// Trains until the last step of the schedule, and gives the last validation.
///
/// # Errors
/// Those of [`state::start`], of reading shards and of writing checkpoints; [`Error::NotFinite`]; [`Error::Stopped`] when
/// [`Job::stop`] asked for it, after a save.
pub fn train(job: &Job) -> Result<Evaluation> {
    // Before anything is created: a misspelt validation shard would show only at the first validation.
    let Settings { data, optim, run: every, .. } = &job.settings;
    check_shards(&job.val)?;
    if !data.skip_bad_shards {
        check_shards_with(&job.data.shards(), &data.fields())?;
    }
    if every.keep_best.is_some() && job.val.is_empty() {
        return Err(Error::Settings("run.keep_best needs validation shards".to_owned()));
    }
    let mut run = state::start(job)?;
    let validator = validator(job, &run)?;
    let mut loader = Loader::open(&job.data, loader_options(job, &run))?;
    let objective = objective(job, &run)?;
    let mut log = Log::open(&job.out, run.step, optim.steps)?;
    begin(&run, &mut log)?;
    let mut diagnosis = Diagnosis::new(chance(job), optim.warmup);
    let skipped_before = run.skipped;
    let mut validation = Ok(Evaluation::default());
    let mut watch = Stopwatch::default();
    let (mut saved, mut saved_step) = (Instant::now(), run.step);

    run.network.set_training(true);
    while run.step < optim.steps {
        let lr = learning_rate(optim, run.step);
        let batch = match watch.waiting(|| loader.draw()) {
            Err(clip_data::Error::Stopped) => return Err(stopped(&mut run, &loader, saved_step)?),
            batch => batch?,
        };
        let inputs = Inputs::of((&run.network.config, &run.preprocess), &batch, job.device)?;
        let outcome = train_step(
            &mut run.network,
            (&mut run.optimizer, &mut run.scaler),
            &*objective,
            &inputs,
            optim,
            lr,
        )?;
        if let Some(average) = &mut run.average {
            average.update(&run.network.parameters)?;
        }
        run.step += 1;
        run.position = batch.position;
        run.skipped = skipped_before + batch.skipped;
        watch.count(batch.size);
        log.tick(run.step);

        let (last, stop) = (run.step == optim.steps, (job.stop)());
        if is_turn(every.log_every, run.step) || last || stop {
            let lap = watch.lap();
            let line = StepFigures {
                step: run.step,
                loss: outcome.loss,
                lr,
                logit_scale: run.network.logit_scale().f_double_value(&[])?,
                gradient_norm: outcome.gradient_norm,
                samples_per_second: lap.samples_per_second,
                data_wait: lap.data_wait,
                save_seconds: lap.save_seconds,
                memory: memory::resident(),
                samples: run.position,
                epoch: epoch(run.position, data.samples, batch.samples),
                skipped: run.skipped,
                bad_shards: batch.bad_shards,
                data_ready: loader.supply().ready,
            };
            log.step(&line)?;
            diagnosis.look(&line).iter().try_for_each(|text| log.diagnosis(run.step, text))?;
        }
        let minutes = saved.elapsed().as_secs_f64() / 60.0;
        let is_time = every.checkpoint_minutes > 0.0 && minutes >= every.checkpoint_minutes;
        if is_turn(every.checkpoint_every, run.step) || is_time || last || stop {
            watch.saving(|| save(&mut run, &loader))?;
            (saved, saved_step) = (Instant::now(), run.step);
        }
        if stop && !last {
            return Err(stopped(&mut run, &loader, saved_step)?);
        }
        if !job.val.is_empty() && (is_turn(every.validate_every, run.step) || last) {
            match validate(&validator, &mut run, &job.val) {
                Ok(found) => {
                    log.validation(run.step, &found, last)?;
                    keep_if_best(&mut run, &found)?;
                    validation = Ok(found);
                }
                Err(Error::Interrupted) => return Err(stopped(&mut run, &loader, saved_step)?),
                // Hours of training are worth more than a figure on the way; at the end it is an error.
                Err(error @ (Error::Data(_) | Error::NoPicture { .. })) if !last => {
                    log.diagnosis(run.step, &format!("there is no validation here: {error}"))?;
                }
                // All that was asked for is done but for the figures.
                Err(error) if last => validation = Err(error),
                Err(error) => return Err(error),
            }
            watch = Stopwatch::default();
        }
    }
    run.finish_save()?;
    curves::draw(&job.out)?;
    diagnosis.at_end().iter().try_for_each(|text| log.diagnosis(run.step, text))?;
    log.say(&format!("{} steps done, the checkpoint is {}", run.step, job.out.display()));
    validation
}

/// Measures the network, or its average where there is one.
fn validate(validator: &Validator, run: &mut Run, shards: &[PathBuf]) -> Result<Evaluation> {
    let validate = |network: &mut Network| validator.run(network, shards);
    let found = match &run.average {
        Some(average) => average.shown(&mut run.network, validate)?,
        None => validate(&mut run.network),
    };
    run.network.set_training(true);
    found
}

/// Keeps the checkpoint of this step if the run keeps its best one and this is it.
fn keep_if_best(run: &mut Run, validation: &Evaluation) -> Result<()> {
    if let Some(figure) = run.job.settings.run.keep_best.map(KeepBest::name)
        && let Some(value) = validation.number(figure)
    {
        run.keep_if_best(figure, value)?;
    }
    Ok(())
}

/// Saves a run, with what its loader has counted.
fn save(run: &mut Run, loader: &Loader) -> Result<()> {
    run.lengths = loader.lengths();
    run.save()
}

/// Ends a run that was told to stop, saved last at `saved_step`: the error that says so.
fn stopped(run: &mut Run, loader: &Loader, saved_step: u64) -> Result<Error> {
    if run.step > saved_step {
        save(run, loader)?;
    }
    run.finish_save()?;
    curves::draw(&run.job.out)?;
    Ok(Error::Stopped { step: run.step, steps: run.job.settings.optim.steps })
}

/// How the network is measured.
fn validator(job: &Job, run: &Run) -> Result<Validator> {
    let Settings { eval, optim, .. } = &job.settings;
    Ok(Validator {
        preprocess: run.preprocess.clone(),
        tokenizer: run.tokenizer.clone(),
        templates: eval.templates()?,
        labels: None,
        objective: optim.objective,
        batch: eval.batch.unwrap_or(optim.batch),
        threads: job.decode_threads,
        stop: job.stop,
    })
}

/// How batches are made.
fn loader_options(job: &Job, run: &Run) -> LoaderOptions {
    let Settings { data, optim, .. } = &job.settings;
    LoaderOptions {
        batch: optim.batch,
        seed: optim.seed,
        threads: job.decode_threads,
        shuffle_buffer: data.shuffle_buffer,
        resampled: data.resampled,
        fields: data.fields(),
        skip_bad_shards: data.skip_bad_shards,
        max_skipped: data.max_skipped,
        lengths: run.lengths.clone(),
        preprocess: run.preprocess.clone(),
        augment: data.augment.clone(),
        tokenizer: run.tokenizer.clone(),
        context_length: run.network.config.text.context_length,
        start: run.position,
        cache_mb: data.cache_mb,
        warn: job.warn,
        stop: job.stop,
    }
}

/// What the settings and `job` ask to train for.
fn objective(job: &Job, run: &Run) -> Result<Box<dyn Objective>> {
    let optim = &job.settings.optim;
    let own = optim.objective.objective();
    let Some(path) = &job.teacher else { return Ok(own) };
    let student = (&run.tokenizer, run.network.config.text.context_length);
    let teacher = Teacher::open(&Checkpoint::open(path)?, student, job.device, optim.precision)?;
    Ok(Box::new(Distillation::new(teacher, own, optim.distill)))
}

/// Passes over the data: its size as the settings give it, or else as it was counted.
fn epoch(position: u64, given: u64, counted: Option<u64>) -> Option<f64> {
    let samples = if given > 0 { given } else { counted? };
    Some(position as f64 / samples as f64)
}

/// Whether it is the turn of what is done every so many steps, 0 for never.
fn is_turn(every: u64, step: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}

/// The loss of guessing, where the objective has one.
fn chance(job: &Job) -> Option<f64> {
    let optim = &job.settings.optim;
    // With a teacher the loss is a mixture, which guessing does not tell anything of.
    (optim.objective == ObjectiveName::Contrastive && job.teacher.is_none())
        .then(|| (optim.batch as f64).ln())
}

/// Says what begins.
fn begin(run: &Run, log: &mut Log) -> Result<()> {
    log.say(&summary(run));
    if run.job.resume {
        log.resumed(run.step, &run.changed)?;
        run.changed.iter().for_each(|change| log.say(&format!("changed: {change}")));
    }
    Ok(())
}

/// What begins, in a line.
fn summary(run: &Run) -> String {
    let size = summarize(&run.network.config);
    let how = match run {
        Run { job: Job { resume: false, .. }, .. } => "starting".to_owned(),
        Run { step, changed, .. } if !changed.is_empty() => {
            format!(
                "going on at step {step}, from here on as another run (not bit for bit the one that was started)"
            )
        }
        // On a GPU, sums are added up in no fixed order.
        Run { step, job: Job { device: Device::Cpu, .. }, .. } => {
            format!("going on at step {step}, bit for bit as if the run had never stopped")
        }
        Run { step, .. } => format!("going on at step {step}"),
    };
    format!(
        "{how}: {:.1} M parameters, {:.2} GFLOP an image, {} steps of {} pairs, {:?}",
        size.parameters() as f64 / 1e6,
        size.image_flops as f64 / 1e9,
        run.job.settings.optim.steps,
        run.job.settings.optim.batch,
        run.network.device
    )
}
