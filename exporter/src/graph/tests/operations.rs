//! Every operation on its own, run by ONNX Runtime and compared with plain loops.

use clip_testkit::cases::{Array, BATCH, CASES, CONTEXT_LENGTH, Case, Input};

use crate::graph::form::IDS;
use crate::graph::interpreter::{Interpreter, TEXT_LENGTH, Value};
use crate::onnx::{Axis, Element, Graph, OPSETS};
use crate::testing;

const TOLERANCE: f32 = 1e-5;

/// Where texts are concerned, the length of every sequence but a single token is known only when the graph runs.
fn value(case: &Case, name: String, input: &Input) -> Value {
    let of_texts = case.inputs.iter().any(|i| matches!(i, Input::Ids(_)));
    match *input {
        Input::Values(&[length, channels]) if of_texts && length > 1 => {
            Value::new(name, &[TEXT_LENGTH, channels])
        }
        Input::Values(shape) => Value::new(name, shape),
        Input::Ids(_) => Value::new(name, &[TEXT_LENGTH]),
    }
}

fn graph(case: &Case, opset: i64) -> Graph {
    let mut graph = Graph::new("case", opset);
    let mut values = Vec::new();
    for (i, input) in case.inputs.iter().enumerate() {
        let (name, element) = match input {
            Input::Values(_) => (format!("x{i}"), Element::Float32),
            Input::Ids(_) => (IDS.to_owned(), Element::Int32),
        };
        let value = value(case, name, input);
        let axis = |&n: &usize| if n == TEXT_LENGTH { Axis::Named("length") } else { Axis::Fixed(n) };
        let shape = [Axis::Named("batch")].into_iter().chain(value.shape.iter().map(axis)).collect();
        graph.input(&value.name, element, shape);
        values.push(value);
    }
    let interpreter = Interpreter::new(graph, CONTEXT_LENGTH);
    let result = case.apply(&interpreter, &values);
    let mut graph = interpreter.into_graph();
    let axes = if result.flat { 2 } else { 1 + result.shape.len() };
    let shape = ["y0", "y1", "y2", "y3"][..axes].iter().map(|&name| Axis::Named(name)).collect();
    graph.output(&result.name, "y", Element::Float32, shape);
    graph
}

fn run(case: &Case, opset: i64) -> Vec<f32> {
    let mut session = testing::open(&graph(case, opset), case.parameters());
    let samples: Vec<Vec<Array>> = (0..BATCH).map(|i| case.sample(i)).collect();
    let inputs = case.inputs.iter().enumerate().map(|(i, input)| {
        let batch = samples.iter().flat_map(|sample| sample[i].data.iter().copied());
        let shape = [&[BATCH][..], &samples[0][i].shape].concat();
        match input {
            Input::Values(_) => (format!("x{i}"), testing::numbers(&shape, batch.collect())),
            Input::Ids(_) => (IDS.to_owned(), testing::ids(&shape, batch.map(|v| v as i32).collect())),
        }
    });
    testing::run(&mut session, inputs.collect())
}

#[test]
fn every_operation_of_every_operator_set_is_that_of_plain_loops() {
    for case in CASES {
        let expected: Vec<f32> = (0..BATCH).flat_map(|i| case.expected(i).data).collect();
        for opset in OPSETS {
            let what = format!("{}, operator set {opset}", case.name);
            testing::assert_close(&run(&case, opset), &expected, TOLERANCE, &what);
        }
    }
}
