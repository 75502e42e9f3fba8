//! The library's errors as this program says them: with the option that helps.

use clip_exporter::layout::Record;
use clip_exporter::{Conflict, Error, Tower};
use clip_model::Manifest;
use clip_program::Usage;

/// The error with the option that helps; wrong arguments where options were refused.
pub fn with_remedy(error: Error) -> anyhow::Error {
    let said = match remedy(&error) {
        Some(remedy) => format!("{error}: {remedy}"),
        None => error.to_string(),
    };
    match error {
        Error::Conflict(_) | Error::Range { .. } | Error::FewSamples { .. } => Usage(said).into(),
        Error::TritonNested { .. } => Usage(said).into(),
        Error::Exists(_) | Error::Overflow { .. } | Error::TritonModel { .. } | Error::TritonName { .. } => {
            anyhow::Error::msg(said)
        }
        error => error.into(),
    }
}

fn remedy(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::Exists(folder) if Manifest::read(folder).is_ok() || Record::read(folder).is_ok() => {
            "name another folder, or replace it with --force"
        }
        Error::Exists(_) => "name another folder",
        Error::TritonModel { ours: true, .. } => "give another --name, or replace it with --force",
        Error::TritonModel { ours: false, .. } => "give another --name",
        Error::TritonName { .. } => "give one with --name",
        Error::Overflow { .. } => "export it with --precision fp32 or int8",
        Error::Conflict(Conflict::CombinedAlone) => "leave one of --combined and --only out",
        Error::Conflict(Conflict::CombinedInt8) => "leave --combined out",
        Error::Conflict(Conflict::BytesOfTexts) => "leave one of --uint8-input and --only text out",
        Error::Conflict(Conflict::LabelsOfTexts) => "leave one of --labels and --only text out",
        Error::Conflict(Conflict::CameraOfTexts) => "leave one of --camera and --only text out",
        Error::Conflict(Conflict::PlanOfCpuIntegers) => "leave --dialect cpu out",
        Error::Conflict(Conflict::PlanOfNothing) => "leave one of --only and --trt-encoders out",
        Error::Conflict(Conflict::TrtexecRtx) => "leave one of --trtexec and --rtx out",
        Error::Conflict(Conflict::ClassifierOfNothing) => "give --labels, or leave --classifier out",
        Error::Conflict(Conflict::ClassifierOfBytes) => {
            "leave one of --uint8-input and --classifier-input out"
        }
        Error::FewSamples { tower: Tower::Image, .. } => "give --calibration-images",
        Error::FewSamples { tower: Tower::Text, .. } => "give --calibration-texts, or --only visual",
        _ => return None,
    })
}

/// The same for what is wrong with a checkpoint.
pub fn of_checkpoint(error: clip_checkpoint::Error) -> anyhow::Error {
    let remedy = match &error {
        clip_checkpoint::Error::ActivationUnknown { .. } => "clip-export: --gelu or --quickgelu",
        clip_checkpoint::Error::HubOffline { .. } => "without --offline and with HF_HUB_OFFLINE unset",
        _ => return error.into(),
    };
    anyhow::anyhow!("{error} ({remedy})")
}
