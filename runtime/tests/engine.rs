//! Graphs run by themselves, through the trait that the towers use.

#![allow(clippy::unwrap_used, clippy::panic)]

mod colours;

use clip_runtime::engine::{Elements, MOST_INPUTS, Session, Target, Tensor, View};
use clip_runtime::{Error, Options};

fn visual() -> Box<dyn Session> {
    Options::new().start_engine().unwrap().open(&colours::folder().join("visual.onnx"), 2).unwrap()
}

/// What a run on one image of `shape` gives, in room for `rows` of `dim` numbers.
fn run(name: &str, shape: &[usize], rows: usize, dim: usize) -> Result<Vec<f32>, Error> {
    let numbers = vec![0.5; shape.iter().product()];
    let view = View { shape, elements: Elements::Float32(&numbers) };
    let mut values = vec![0.0; rows * dim];
    visual().run_into(&[(name, view)], Target { shape: &[rows, dim], values: &mut values })?;
    Ok(values)
}

#[track_caller]
fn refused(found: Result<Vec<f32>, Error>, part: &str) {
    let error = found.unwrap_err();
    assert!(matches!(&error, Error::Engine { action: "run", .. }), "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn both_ways_to_run_give_the_same() {
    let session = visual();
    let dim = session.outputs()[0].shape[1].unwrap();
    let tensor = Tensor::Float32(vec![2, 3, 8, 8], (0..384).map(|n| n as f32 / 100.0 - 1.0).collect());
    let outputs = session.run(&[("image", &tensor)]).unwrap();
    assert_eq!((outputs.len(), &outputs[0].shape), (1, &vec![2, dim]));
    let mut values = vec![0.0; 2 * dim];
    let target = Target { shape: &[2, dim], values: &mut values };
    session.run_into(&[("image", tensor.view())], target).unwrap();
    assert_eq!(values, outputs[0].values);
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let dim = visual().outputs()[0].shape[1].unwrap();
    assert_eq!(run("image", &[1, 3, 8, 8], 1, dim).unwrap().len(), dim);
    refused(run("picture", &[1, 3, 8, 8], 1, dim), "it has no input \"picture\"");
    refused(run("image", &[1, 3, 8, 9], 1, dim), "9");
    refused(run("image", &[1, 1, 1, 1, 1, 1, 3, 8, 8], 1, dim), "are no tensor of shape");
    // Room for more or fewer embeddings than there are.
    refused(run("image", &[1, 3, 8, 8], 2, dim), "shape");
    refused(run("image", &[2, 3, 8, 8], 1, dim), "shape");
    refused(run("image", &[1, 3, 8, 8], 1, dim + 1), "invalid dimensions for output");

    let numbers = [0.5; 3 * 8 * 8];
    let session = visual();
    let mut values = vec![0.0; dim];
    let mut into = |inputs: &[(&str, View<'_>)], shape: &[usize]| {
        session.run_into(inputs, Target { shape, values: &mut values }).unwrap_err().to_string()
    };
    let view = |shape| View { shape, elements: Elements::Float32(&numbers) };
    let good = view(&[1, 3, 8, 8]);
    for (inputs, shape, part) in [
        (vec![("image", view(&[2, 3, 8, 8]))], [1, dim], "192 numbers are no tensor of shape [2, 3, 8, 8]"),
        (vec![("image", view(&[usize::MAX, 3, 8, 8]))], [1, dim], "are no tensor of shape"),
        (vec![("image", good)], [2, dim], "numbers are no tensor of shape"),
        (vec![("image", good); MOST_INPUTS + 1], [1, dim], "9 inputs are more than 8"),
        (vec![], [1, dim], "image"),
    ] {
        let error = into(&inputs, &shape);
        assert!(error.contains(part), "{part}: {error}");
    }
    let bytes = View { shape: &[1, 3, 8, 8], elements: Elements::UInt8(&[0; 192]) };
    assert!(into(&[("image", bytes)], &[1, dim]).contains("float"));
}
