//! Runs of an engine: from bytes of the host to bytes of the host.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::Arc;

use crate::context::Context;
use crate::cuda::{DeviceBuffer, Graph, PinnedBuffer, Stream};
use crate::engine::{Engine, Io};
use crate::error::{Error, Result};
use crate::port::{Output, Port, bytes, known, size};
use crate::shape::Shape;

/// Shapes whose runs are counted; where more come by, none of them comes often.
const COUNTED: usize = 64;

/// The run of a shape after which its work is kept as a graph. TensorRT asks for one run before; the texts of a label set come once
/// or twice and are not worth it.
const KEPT_AFTER: u32 = 3;

/// Where tensors have to begin, bytes.
const ALIGNMENT: u64 = 256;

/// What goes into an engine.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Name of the input.
    pub name: &'a str,
    /// Its shape.
    pub shape: &'a [i64],
    /// Its elements, as the engine's [`Io::element`] says, in the host's byte order.
    pub bytes: &'a [u8],
}

/// What goes into an engine, and is on its GPU already.
#[derive(Debug, Clone, Copy)]
pub struct DeviceInput<'a> {
    /// Name of the input.
    pub name: &'a str,
    /// Its shape.
    pub shape: &'a [i64],
    /// Where its pieces lie on the GPU, all of the same size, in order: one for each item of a batch, say.
    pub pieces: &'a [u64],
}

/// Runs an engine, one run at a time, with a stream and buffers of its own, which are made once for the largest shapes. What is
/// run often in the same shapes becomes a CUDA graph.
#[derive(Debug)]
pub struct Execution {
    // Graphs and contexts use the buffers, and go first.
    kept: Vec<Kept>,
    context: Context,
    ports: Vec<Port>,
    stream: Stream,
    runs: HashMap<Vec<Shape>, u32>,
    graphs: usize,
    clock: u64,
}

/// The work of a run, for inputs of these shapes.
#[derive(Debug)]
struct Kept {
    graph: Graph,
    /// TensorRT wants a context for each graph, since the context's shapes are part of it.
    context: Context,
    shapes: Vec<Shape>,
    last_used: u64,
}

impl Execution {
    /// Makes room for one run at a time. At most `graphs` CUDA graphs are kept, each of which takes as much memory of the GPU
    /// as the engine's largest run.
    ///
    /// # Errors
    /// [`Error::Run`] and [`Error::Cuda`] when there is no room.
    pub fn new(engine: &Arc<Engine>, graphs: usize) -> Result<Execution> {
        let mut context = Context::new(engine)?;
        let device = engine.device();
        let names = engine.io().iter().map(|io| {
            let bad = |e| Error::Input { input: io.name.clone(), reason: format!("has no usable name: {e}") };
            CString::new(io.name.as_str()).map_err(bad)
        });
        let names = names.collect::<Result<Vec<CString>>>()?;
        for (io, name) in engine.io().iter().zip(&names) {
            if let Some(range) = io.range.as_ref().filter(|_| io.is_input && io.shape.contains(&-1)) {
                context.set_shape(name, &range.max)?;
            }
        }
        let port = |(io, name): (&Io, CString)| {
            let largest = context.shape(&name).unwrap_or_else(|| io.shape.clone());
            let bytes = bytes(&largest, io.element).ok_or_else(|| Error::Run {
                action: "make room for what goes in and comes out",
                reason: format!("{:?} would have shape {largest:?}", io.name),
            })?;
            let (device, host) = (DeviceBuffer::new(device, bytes)?, PinnedBuffer::new(device, bytes)?);
            Ok(Port { io: io.clone(), name, device, host })
        };
        let ports = engine.io().iter().zip(names).map(port).collect::<Result<Vec<Port>>>()?;
        place(&mut context, &ports)?;
        let stream = Stream::new(device)?;
        Ok(Execution { kept: Vec::new(), context, ports, stream, runs: HashMap::new(), graphs, clock: 0 })
    }

    /// Runs the engine. Gives its outputs in their order.
    ///
    /// # Errors
    /// [`Error::Input`] for inputs that are missing, unknown or of another length than their shape says;
    /// [`Error::OutsideProfile`]; [`Error::Run`] and [`Error::Cuda`] when the engine or the GPU fails.
    pub fn run(&mut self, inputs: &[Input<'_>]) -> Result<Vec<Output>> {
        self.context.engine().device().make_current()?;
        let shapes = self.take(inputs)?;
        self.clock += 1;
        let kept = self.kept.iter_mut().position(|kept| kept.shapes == shapes);
        let context = match kept {
            Some(i) => {
                let kept = &mut self.kept[i];
                kept.last_used = self.clock;
                // SAFETY: the buffers are this execution's, which has them to itself until the stream has come to the end.
                unsafe { kept.graph.launch() }?;
                self.stream.wait()?;
                &kept.context
            }
            None => {
                set_shapes(&mut self.context, &self.ports, &shapes)?;
                enqueue(&mut self.context, &mut self.ports, &self.stream)?;
                self.stream.wait()?;
                &self.context
            }
        };
        let outputs = self.ports.iter().filter(|port| !port.io.is_input).map(|port| port.output(context));
        let outputs = outputs.collect::<Result<Vec<Output>>>()?;
        if kept.is_none() && self.comes_often(&shapes) {
            // It runs without as well, only slower.
            if let Err(error) = self.keep(shapes) {
                tracing::debug!(target: "tensorrt", "no CUDA graph: {error}");
            }
        }
        Ok(outputs)
    }

    /// Runs the engine on inputs that are on the GPU already, when all is done that was asked before of `after`, the driver's handle of a stream
    /// (null is the default one). An input of one piece is read where it lies, others are brought together first. When this returns, the
    /// inputs are no longer needed.
    ///
    /// # Safety
    /// The pieces lie in memory of the engine's GPU, as many bytes as the shape says, and nobody but the work in `after` writes them until this
    /// returns; `after` is a stream of that GPU's primary context, and alive.
    ///
    /// # Errors
    /// Those of [`Execution::run`].
    pub unsafe fn run_on_device(
        &mut self,
        inputs: &[DeviceInput<'_>],
        after: *mut c_void,
    ) -> Result<Vec<Output>> {
        self.context.engine().device().make_current()?;
        known(&self.ports, inputs.iter().map(|input| input.name))?;
        // SAFETY: as promised.
        let ran = unsafe { self.enqueue_on_device(inputs, after) };
        // Also after an error: the next run finds its own buffers, and nothing reads the caller's any more.
        let (ended, placed) = (self.stream.wait(), place(&mut self.context, &self.ports));
        ran.and(ended).and(placed)?;
        self.ports.iter().filter(|port| !port.io.is_input).map(|port| port.output(&self.context)).collect()
    }

    /// Asks for such a run; contexts and streams are to be put in order afterwards.
    ///
    /// # Safety
    /// As [`Execution::run_on_device`].
    unsafe fn enqueue_on_device(&mut self, inputs: &[DeviceInput<'_>], after: *mut c_void) -> Result<()> {
        // SAFETY: as promised.
        unsafe { self.stream.wait_for(after) }?;
        let mut shapes = Vec::new();
        for port in self.ports.iter().filter(|port| port.io.is_input) {
            let input = inputs.iter().find(|input| input.name == port.io.name);
            let input = input.ok_or_else(|| port.bad("is missing".to_owned()))?;
            let bytes = port.checked(input.shape)?;
            let address = match input.pieces {
                [whole] if whole.is_multiple_of(ALIGNMENT) => *whole,
                pieces => {
                    let piece = bytes / pieces.len().max(1);
                    if pieces.is_empty() || piece * pieces.len() != bytes {
                        return Err(port.bad(format!("is in {} pieces, and has {bytes} bytes", pieces.len())));
                    }
                    for (i, from) in pieces.iter().enumerate() {
                        // SAFETY: as promised; the buffer has room for the largest shape, and is this execution's.
                        unsafe { self.stream.collect(*from, piece, &port.device, i * piece) }?;
                    }
                    port.device.address()
                }
            };
            // SAFETY: as promised, or as in `place`.
            unsafe { self.context.set_address(&port.name, address) }?;
            shapes.push(input.shape.to_vec());
        }
        set_shapes(&mut self.context, &self.ports, &shapes)?;
        // SAFETY: as in `enqueue`, and the inputs are as promised.
        unsafe { self.context.enqueue(&self.stream) }?;
        download(&self.context, &mut self.ports, &self.stream)
    }

    /// Takes over the inputs; gives their shapes, in the order of the ports.
    fn take(&mut self, inputs: &[Input<'_>]) -> Result<Vec<Shape>> {
        known(&self.ports, inputs.iter().map(|input| input.name))?;
        let mut shapes = Vec::new();
        for port in self.ports.iter_mut().filter(|port| port.io.is_input) {
            let input = inputs.iter().find(|input| input.name == port.io.name);
            let input = input.ok_or_else(|| port.bad("is missing".to_owned()))?;
            if port.checked(input.shape)? != input.bytes.len() {
                let element = port.io.element.name();
                return Err(port.bad(format!(
                    "has {} bytes, and shape {:?} of {element}",
                    input.bytes.len(),
                    input.shape
                )));
            }
            port.host[..input.bytes.len()].copy_from_slice(input.bytes);
            shapes.push(input.shape.to_vec());
        }
        Ok(shapes)
    }

    /// Counts a run of these shapes; whether it is time to keep it.
    fn comes_often(&mut self, shapes: &[Shape]) -> bool {
        if self.graphs == 0 || (self.runs.len() >= COUNTED && !self.runs.contains_key(shapes)) {
            return false;
        }
        let runs = self.runs.entry(shapes.to_vec()).or_default();
        *runs = runs.saturating_add(1);
        *runs == KEPT_AFTER
    }

    /// Keeps the work of these shapes as a graph, in place of the one that was not used for longest.
    fn keep(&mut self, shapes: Vec<Shape>) -> Result<()> {
        while self.kept.len() >= self.graphs {
            let oldest = (0..self.kept.len()).min_by_key(|&i| self.kept[i].last_used).unwrap_or(0);
            let gone = self.kept.swap_remove(oldest);
            self.runs.remove(&gone.shapes);
        }
        let mut context = Context::new(self.context.engine())?;
        set_shapes(&mut context, &self.ports, &shapes)?;
        place(&mut context, &self.ports)?;
        // The first run of a context does what a graph cannot hold.
        enqueue(&mut context, &mut self.ports, &self.stream)?;
        self.stream.wait()?;
        let (ports, stream) = (&mut self.ports, &self.stream);
        let graph = stream.capture(|| enqueue(&mut context, ports, stream))?;
        let last_used = self.clock;
        self.kept.extend(graph.map(|graph| Kept { graph, context, shapes, last_used }));
        Ok(())
    }

    /// How many CUDA graphs are kept now.
    pub fn graphs(&self) -> usize {
        self.kept.len()
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        // After an error the GPU may still be at work on the buffers.
        let _ = self.stream.wait();
    }
}

/// Tells a context where everything lies.
fn place(context: &mut Context, ports: &[Port]) -> Result<()> {
    for port in ports {
        // SAFETY: the buffer has room for the largest shape, and lives as long as the execution, whose contexts go first.
        unsafe { context.set_address(&port.name, port.device.address()) }?;
    }
    Ok(())
}

fn set_shapes(context: &mut Context, ports: &[Port], shapes: &[Shape]) -> Result<()> {
    let inputs = ports.iter().filter(|port| port.io.is_input);
    inputs.zip(shapes).try_for_each(|(port, shape)| context.set_shape(&port.name, shape))
}

/// Asks the stream for the outputs of a run.
fn download(context: &Context, ports: &mut [Port], stream: &Stream) -> Result<()> {
    for port in ports.iter_mut().filter(|port| !port.io.is_input) {
        let bytes = size(context, port);
        // SAFETY: the buffers are the execution's, which waits for the stream before it touches them or lets them go.
        unsafe { stream.download(&port.device, bytes, &mut port.host) }?;
    }
    Ok(())
}

/// Asks the stream for one run: inputs to the GPU, the engine, outputs back.
fn enqueue(context: &mut Context, ports: &mut [Port], stream: &Stream) -> Result<()> {
    // SAFETY: the buffers are the execution's, which waits for the stream before it touches them or lets them go.
    unsafe {
        for port in ports.iter().filter(|port| port.io.is_input) {
            stream.upload(&port.host, size(context, port), &port.device)?;
        }
        context.enqueue(stream)?;
    }
    download(context, ports, stream)
}
