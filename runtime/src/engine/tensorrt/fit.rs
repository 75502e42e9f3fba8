//! Whether a plan was built for this machine. TensorRT itself says less of why it refuses one, and some versions end the process.

use clip_model::manifest::Plan;
use clip_tensorrt::{Kind, Library, Version, cuda};

/// The compute capability from which on hardware-compatible plans run: Ampere's first.
const AMPERE: u32 = 80;

/// What differs, a sentence each; nothing when the plan fits.
pub fn misfits(plan: &Plan, library: &Library, device: &cuda::Device) -> Vec<String> {
    let of_rtx = plan.is_of_rtx();
    let built_by = if of_rtx { Kind::Rtx } else { Kind::TensorRt };
    if built_by != library.kind() {
        let [built_by, found] = [built_by, library.kind()].map(Kind::name);
        return vec![format!(
            "it was built by {built_by} {}, and is to be run by {found} {}",
            plan.version,
            library.version()
        )];
    }
    [version(plan, library), gpu(plan, library, device)].into_iter().flatten().collect()
}

fn version(plan: &Plan, library: &Library) -> Option<String> {
    let (name, found, family) = (library.kind().name(), library.version(), library.family().name());
    let (path, built) = (library.path().display(), &plan.version);
    if *built == found.to_string() {
        return None;
    }
    let found_text = format!("{path} is version {found}");
    if plan.build.version_compatible {
        let later = numbers(built).is_some_and(|built| built <= numbers_of(found));
        return (!later).then(|| {
            format!("it was built by {name} {built} for that version and later ones, and {found_text}")
        });
    }
    Some(match plan.family == family {
        true => {
            format!("it was built by {name} {built}, which alone runs it, and {found_text}")
        }
        false => format!(
            "it was built by {name} {built}, of the family {}, and {found_text}, of the family {family}",
            plan.family
        ),
    })
}

fn gpu(plan: &Plan, library: &Library, device: &cuda::Device) -> Option<String> {
    let found = format!("CUDA device {} ({}) has {}", device.index(), device.name(), capability(device.sm()));
    if plan.compute_capabilities.contains(&device.sm()) {
        return None;
    }
    let list = |all: &[u32]| all.iter().copied().map(capability).collect::<Vec<_>>().join(", ");
    if plan.build.hardware_compatible {
        let asked = capability(AMPERE);
        return (device.sm() < AMPERE)
            .then(|| format!("it was built for compute capability {asked} and higher ones, and {found}"));
    }
    if plan.compute_capabilities.is_empty() {
        let all = library.family().targets();
        return (!all.contains(&device.sm()))
            .then(|| format!("it is portable among GPUs of compute capability {}, and {found}", list(all)));
    }
    let on = plan.device.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    let built_for = list(&plan.compute_capabilities);
    Some(format!("it was built for compute capability {built_for}{on}, and {found}"))
}

/// `8.7` for 87.
fn capability(sm: u32) -> String {
    format!("{}.{}", sm / 10, sm % 10)
}

/// The numbers of a version, where it is one.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let mut numbers = version.split('.').map(|n| n.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

fn numbers_of(version: Version) -> [u32; 3] {
    [version.major, version.minor, version.patch]
}
