//! Building engines.

use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::ops::Deref;
use std::path::Path;

use crate::cuda;
use crate::error::{Error, Result};
use crate::family::{RTX_TARGETS, Table};
use crate::library::{Kind, Library};
use crate::logger;
use crate::monitor::{Monitor, Watch};
use crate::object::{Owned, call, pointer};
use crate::parser;
use crate::shape::{Dims, Range, Shape};

/// `MemoryPoolType` and `OptProfileSelector`, which no version has changed.
const WORKSPACE: i32 = 0;
const TACTIC_DRAM: i32 = 4;
const SELECTORS: [i32; 3] = [0, 1, 2];
/// `HardwareCompatibilityLevel::kAMPERE_PLUS`.
const AMPERE_PLUS: i32 = 1;

/// How an engine is built. Number formats are not among it: the network is strongly typed, each operation computes in the
/// format that its graph has, and TensorRT chooses no other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// The shapes of each input whose sizes are not fixed, by its name.
    pub ranges: Vec<(String, Range)>,
    /// Bytes of GPU memory that one layer may use to compute in; all of it when it is `None`.
    pub workspace: Option<usize>,
    /// Bytes of GPU memory that trying out implementations may use; all of it when it is `None`.
    pub tactic_memory: Option<usize>,
    /// From 0, built fastest, to 5, runs fastest; TensorRT's usual one when it is `None`.
    pub level: Option<u8>,
    /// Timings of an earlier build on the same GPU, so that what was measured then need not be again. An empty one starts a new
    /// one; `None` keeps none.
    pub timing_cache: Option<Vec<u8>>,
    /// Whether later versions of TensorRT are to be able to run the engine, which then holds code for the host.
    pub version_compatible: bool,
    /// Whether GPUs from Ampere on are to be able to run it, and not only those of the compute capability it is built on.
    pub hardware_compatible: bool,
    /// The compute capabilities to build for, as 86; none for those that TensorRT-RTX builds for by itself, which makes an engine
    /// portable. Only TensorRT-RTX has a choice.
    pub targets: Vec<u32>,
    /// The number of the GPU that TensorRT builds on, as [`cuda::Device::open`] counts. TensorRT-RTX needs none.
    pub device: u32,
}

/// What a build gives.
#[derive(Debug)]
pub struct Built {
    /// The engine, to be kept and run.
    pub plan: Plan,
    /// Timings for the next build, when [`BuildOptions::timing_cache`] asked for them.
    pub timing_cache: Option<Vec<u8>>,
}

/// The bytes of an engine, in TensorRT's memory.
pub struct Plan {
    memory: Owned,
    table: &'static Table,
}

impl Deref for Plan {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the memory is alive, does not change, and its methods stand in these slots.
        unsafe {
            let data = call!(self.memory.inner(), self.table.memory_data, fn() -> *const u8,);
            let size = call!(self.memory.inner(), self.table.memory_size, fn() -> usize,);
            if data.is_null() { &[] } else { std::slice::from_raw_parts(data, size) }
        }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plan({} bytes)", self.len())
    }
}

impl AsRef<[u8]> for Plan {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Builds take turns: their errors come through one logger, and each would time what the other slows down.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

impl Library {
    /// Builds an engine of the ONNX graph in `path`. TensorRT builds on a GPU, which becomes the current one of this thread,
    /// TensorRT-RTX without one. `watch` is told how far it is, from several threads, and may cancel it.
    ///
    /// # Errors
    /// [`Error::NoDriver`] and its like, of TensorRT without a GPU; [`Error::Read`] and [`Error::Parse`] for the graph;
    /// [`Error::Target`], [`Error::Option`] and [`Error::TooMuchMemory`] for options that cannot be followed; [`Error::Build`] for
    /// what TensorRT refuses, for lack of memory, say; [`Error::Cancelled`].
    pub fn build(&self, path: &Path, options: &BuildOptions, watch: Watch<'_>) -> Result<Built> {
        let table = self.family().table();
        let create = self.create_builder()?;
        // The GPU stays open until the engine is built: with the last one that has it, all that is on it goes.
        let _device = match self.kind() {
            Kind::TensorRt => Some(cuda::Device::open(options.device)?),
            Kind::Rtx => None,
        };
        self.check(options)?;
        let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let failed = || {
            let reason = logger::errors();
            Error::Build { version: self.version(), path: path.to_owned(), reason }
        };
        let object = |raw: *mut c_void| {
            // SAFETY: TensorRT's functions that create something give it to their caller.
            unsafe { Owned::new(raw) }.ok_or_else(failed)
        };
        logger::forget_errors();
        // SAFETY: the slots are those of the library's family, and each object is alive while it is called: they are dropped in
        // the reverse of the order in which they are made.
        unsafe {
            let builder = object(create(logger::logger(table.versioned_logger), self.number()))?;
            let flags = 1_u32 << table.flag_strongly_typed;
            let network =
                object(call!(builder.inner(), table.builder_create_network, fn(u32) -> *mut c_void, flags))?;
            let _parser = parser::parse(self, &network, path)?;
            let config = object(call!(builder.inner(), table.builder_create_config, fn() -> *mut c_void,))?;
            let monitor = Monitor::new(watch);
            let cache = self.configure(&config, options)?;
            call!(config.inner(), table.config_set_monitor, fn(*const c_void), monitor.interface());
            // The profile is the builder's.
            let profile = call!(builder.inner(), table.builder_create_profile, fn() -> *mut c_void,);
            let profile = pointer(profile).ok_or_else(failed)?.as_ptr();
            if self.set_ranges(profile, &network, &options.ranges)? {
                call!(config.inner(), table.config_add_profile, fn(*mut c_void) -> i32, profile);
            }
            let raw = call!(
                builder.inner(),
                table.builder_build,
                fn(*mut c_void, *mut c_void) -> *mut c_void,
                network.interface(),
                config.interface()
            );
            if monitor.cancelled() {
                drop(Owned::new(raw));
                return Err(Error::Cancelled);
            }
            let plan = Plan { memory: object(raw)?, table };
            let timing_cache = cache.map(|_| self.timings(&config)).transpose()?.flatten();
            Ok(Built { plan, timing_cache })
        }
    }

    /// Refuses options that this library cannot follow, whatever the graph.
    ///
    /// # Errors
    /// [`Error::Target`], [`Error::Option`] and [`Error::TooMuchMemory`]; [`Error::NoDriver`] and its like, of TensorRT without a GPU.
    pub fn check(&self, options: &BuildOptions) -> Result<()> {
        let refuse = |what, reason: &str| Err(Error::Option { what, reason: reason.to_owned() });
        if options.level.is_some_and(|level| level > 5) {
            return refuse("that optimization level", "levels go from 0 to 5");
        }
        match self.kind() {
            Kind::Rtx => {
                if options.version_compatible {
                    return refuse(
                        "a version-compatible engine",
                        "TensorRT-RTX builds none: its engines run with the version that built them",
                    );
                }
                if options.hardware_compatible {
                    return refuse(
                        "a hardware-compatible engine",
                        "TensorRT-RTX builds for the compute capabilities that are named, or for all of its own",
                    );
                }
                if let Some(&sm) = options.targets.iter().find(|sm| !RTX_TARGETS.contains(sm)) {
                    return Err(Error::Target { version: self.version(), sm });
                }
            }
            Kind::TensorRt => {
                if !options.targets.is_empty() {
                    return refuse(
                        "a choice of compute capabilities",
                        "TensorRT builds on the GPU that will run the engine",
                    );
                }
                let device = cuda::Device::open(options.device)?;
                for (what, wanted) in
                    [("a workspace", options.workspace), ("memory for tactics", options.tactic_memory)]
                {
                    let wanted = wanted.map_or(0, |bytes| bytes as u64);
                    if wanted > device.memory() {
                        return Err(Error::TooMuchMemory { what, wanted, device: device.memory() });
                    }
                }
            }
        }
        Ok(())
    }

    /// Sets everything but the shapes. Gives back the timing cache, which must live as long as the configuration.
    ///
    /// # Safety
    /// The configuration is one of this library's.
    unsafe fn configure(&self, config: &Owned, options: &BuildOptions) -> Result<Option<Owned>> {
        let table = self.family().table();
        let refused = |what| Error::Option { what, reason: logger::errors() };
        // SAFETY: as promised; the slots are those of the library's family.
        unsafe {
            let config = config.inner();
            // Single precision is single precision: TensorFloat-32 has 10 bits of mantissa.
            call!(config, table.config_clear_flag, fn(i32), table.flag_tf32 as i32);
            for (pool, bytes) in [(WORKSPACE, options.workspace), (TACTIC_DRAM, options.tactic_memory)] {
                if let Some(bytes) = bytes {
                    call!(config, table.config_set_pool, fn(i32, usize), pool, bytes);
                }
            }
            if let Some(level) = options.level {
                call!(config, table.config_set_level, fn(i32), i32::from(level));
            }
            if options.version_compatible {
                call!(config, table.config_set_flag, fn(i32), table.flag_version_compatible as i32);
            }
            if options.hardware_compatible {
                call!(config, table.config_set_hardware, fn(i32), AMPERE_PLUS);
            }
            if let Some(rtx) = self.family().rtx().filter(|_| !options.targets.is_empty()) {
                let count = i32::try_from(options.targets.len()).unwrap_or(i32::MAX);
                let mut taken = call!(config, rtx.config_set_targets, fn(i32) -> bool, count);
                for (i, &sm) in (0..).zip(&options.targets) {
                    taken &= call!(config, rtx.config_set_target, fn(i32, i32) -> bool, sm as i32, i);
                }
                if !taken {
                    return Err(refused("a choice of compute capabilities"));
                }
            }
            let Some(timings) = &options.timing_cache else { return Ok(None) };
            let raw = call!(
                config,
                table.config_create_cache,
                fn(*const u8, usize) -> *mut c_void,
                timings.as_ptr(),
                timings.len()
            );
            let cache = Owned::new(raw).ok_or_else(|| refused("the timing cache"))?;
            // False: a cache of another GPU is not taken.
            match call!(
                config,
                table.config_set_cache,
                fn(*const c_void, bool) -> bool,
                cache.interface(),
                false
            ) {
                true => Ok(Some(cache)),
                false => Err(refused("the timing cache")),
            }
        }
    }

    /// Gives the shapes of all inputs whose sizes are free to `profile`; whether there are any.
    ///
    /// # Safety
    /// Both are alive, and this library's.
    unsafe fn set_ranges(
        &self,
        profile: *mut c_void,
        network: &Owned,
        ranges: &[(String, Range)],
    ) -> Result<bool> {
        let table = self.family().table();
        let mut any = false;
        // SAFETY: as promised; the slots are those of the library's family. The profile is an interface, and so is each tensor.
        unsafe {
            let network = network.inner();
            for i in 0..call!(network, table.network_inputs, fn() -> i32,) {
                let Some(tensor) = pointer(call!(network, table.network_input, fn(i32) -> *mut c_void, i))
                else {
                    continue;
                };
                let tensor = *tensor.as_ptr().cast::<*mut c_void>().add(1);
                let name = call!(tensor, table.tensor_name, fn() -> *const c_char,);
                let declared =
                    call!(tensor, table.tensor_dimensions, fn() -> Dims,).shape().unwrap_or_default();
                if declared.iter().all(|&n| n >= 0) {
                    continue;
                }
                any = true;
                let input = CStr::from_ptr(name).to_string_lossy().into_owned();
                let bad = |reason: &str| Error::Input { input: input.clone(), reason: reason.to_owned() };
                let Some((_, range)) = ranges.iter().find(|(name, _)| *name == input) else {
                    return Err(bad("has sizes that are not fixed, and no shapes to be built for"));
                };
                let shapes = [&range.min, &range.opt, &range.max];
                if shapes.iter().any(|shape| !fits(shape, &declared)) || !range.contains(&range.opt) {
                    return Err(bad(&format!("has shape {declared:?}, and was to be built for {range}")));
                }
                let inner = *profile.cast::<*mut c_void>().add(1);
                for (selector, shape) in SELECTORS.into_iter().zip([&range.min, &range.opt, &range.max]) {
                    let dims = Dims::new(shape).ok_or_else(|| bad("has too many axes"))?;
                    let taken = call!(
                        inner,
                        table.profile_set,
                        fn(*const c_char, i32, *const Dims) -> bool,
                        name,
                        selector,
                        &raw const dims
                    );
                    if !taken {
                        return Err(bad(&format!("cannot be built for {range}: {}", logger::errors())));
                    }
                }
            }
        }
        Ok(any)
    }

    /// The timings that the configuration's cache holds now.
    ///
    /// # Safety
    /// The configuration is one of this library's.
    unsafe fn timings(&self, config: &Owned) -> Result<Option<Vec<u8>>> {
        let table = self.family().table();
        // SAFETY: as promised. The cache is the configuration's or ours, and alive; what it serializes to is ours.
        unsafe {
            let Some(cache) = pointer(call!(config.inner(), table.config_get_cache, fn() -> *mut c_void,))
            else {
                return Ok(None);
            };
            let cache = *cache.as_ptr().cast::<*mut c_void>().add(1);
            let memory = Owned::new(call!(cache, table.cache_serialize, fn() -> *mut c_void,));
            Ok(memory.map(|memory| Plan { memory, table }.to_vec()))
        }
    }
}

/// Whether a shape is one that the declared one allows.
fn fits(shape: &Shape, declared: &Shape) -> bool {
    shape.len() == declared.len() && shape.iter().zip(declared).all(|(&n, &d)| n > 0 && (d < 0 || n == d))
}
