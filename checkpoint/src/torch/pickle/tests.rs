use safetensors::Dtype;

use super::machine::{DEEPEST, MOST_NODES};
use super::value::Storage;
use super::*;

fn read(bytes: &[u8]) -> Result<Pickle<'_>, String> {
    Pickle::read(bytes, false)
}

/// `{"w": tensor}` as `torch.save` writes it: four float32 in storage "0" as a 2x2 matrix.
const MATRIX: &[u8] = b"\x80\x02}q\x00X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\
    \x00storageq\x03ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x04tq\x07QK\x00K\x02K\x02\
    \x86q\x08K\x02K\x01\x86q\t\x89ccollections\nOrderedDict\nq\n)Rq\x0btq\x0cRq\rs.";

#[test]
fn a_state_dict_becomes_descriptions_of_tensors() {
    let pickle = read(MATRIX).unwrap();
    assert_eq!(pickle.length, MATRIX.len());
    let Node::Dict(dict) = pickle.root() else { panic!("{:?}", pickle.root()) };
    let storage = Storage { dtype: Dtype::F32, key: "0", elements: 4 };
    let tensor = Tensor { storage, offset: 0, shape: vec![2, 2], strides: vec![2, 1] };
    assert_eq!(pickle.entry(dict, "w"), Some(&Node::Tensor(tensor)));
    assert_eq!(pickle.entry(dict, "v"), None);
}

/// The matrix, rebuilt by `function`, whose arguments are the tensor and what `rest` builds.
fn rebuilt(function: &str, rest: &[u8]) -> Vec<u8> {
    let start = b"\x80\x02}q\x00X\x01\x00\x00\x00wq\x01";
    let tensor = MATRIX.strip_prefix(start).unwrap().strip_suffix(b"s.").unwrap();
    [start, format!("c{}\n(", function.replace(' ', "\n")).as_bytes(), tensor, rest, b"tRs."].concat()
}

#[test]
fn parameters_and_tensors_with_attributes_are_the_tensors_in_them() {
    let plain = read(MATRIX).unwrap();
    let Node::Dict(dict) = plain.root() else { panic!() };
    let state = b"}X\x03\x00\x00\x00tagK\x01s";
    let with_state = [&b"\x88ccollections\nOrderedDict\n)R"[..], state].concat();
    // The function and its arguments lie side by side in the pickle of a tensor with attributes.
    let tensor = MATRIX.windows(2).position(|w| w == b"q\x02").unwrap();
    let (name, arguments) = MATRIX.strip_suffix(b"q\x0cRq\rs.").unwrap().split_at(tensor);
    let typed = [
        &name[..13],
        b"ctorch._tensor\n_rebuild_from_type_v2\n(",
        &name[13..],
        b"ctorch\nTensor\n",
        &arguments[2..],
        state,
        b"tRs.",
    ];
    for bytes in [
        rebuilt("torch._utils _rebuild_parameter", b"\x88ccollections\nOrderedDict\n)R"),
        rebuilt("torch._utils _rebuild_parameter_with_state", &with_state),
        typed.concat(),
    ] {
        let pickle = read(&bytes).unwrap();
        let Node::Dict(found) = pickle.root() else { panic!() };
        assert_eq!(pickle.entry(found, "w"), plain.entry(dict, "w"));
    }
}

#[test]
fn what_no_tensor_depends_on_is_passed_over() {
    for bytes in [
        &b"\x80\x02ctorch\nfloat32\n."[..],
        b"\x80\x02ctorch\ndevice\nX\x03\x00\x00\x00cpu\x85R.",
        b"\x80\x02ccollections\nCounter\n}\x85R.",
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x06\x00\x00\x00latin1\x86R.",
    ] {
        read(bytes).unwrap();
    }
}

/// Pickles that would run something when Python loads them, and what has to be named.
const MALICIOUS: [(&[u8], &str); 12] = [
    (b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.", "os.system"),
    (b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R.", "posix.system"),
    (b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.", "builtins.eval"),
    (b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c\x01x\x85R.", "builtins.exec"),
    (b"cnt\nsystem\n(S'id'\ntR.", "nt.system"),
    (b"(S'id'\nios\nsystem\n.", "STRING"),
    (b"(X\x02\x00\x00\x00idios\nsystem\n.", "INST"),
    (b"(cos\nsystem\nX\x02\x00\x00\x00ido.", "os.system"),
    (b"\x80\x02\x82\x01.", "EXT1"),
    // One reduce inside the arguments of another, which is harmless itself.
    (b"\x80\x02ccollections\nOrderedDict\n(cos\nsystem\nX\x02\x00\x00\x00id\x85RtR.", "os.system"),
    // The result of an allowed call is no function.
    (b"\x80\x02ccollections\nOrderedDict\n)R)R.", "something that is no global"),
    (b"\x80\x02c__torch__.Evil\nRun\n)\x81.", "__torch__.Evil.Run"),
];

#[test]
fn what_would_run_something_is_refused_by_name() {
    for (bytes, named) in MALICIOUS {
        let message = read(bytes).unwrap_err();
        assert!(message.contains(named), "{named}: {message}");
    }
}

#[test]
fn objects_of_script_classes_hold_attributes_and_run_nothing() {
    let bytes = b"\x80\x02c__torch__\nModel\n)\x81}(X\x01\x00\x00\x00aK\x01ub.";
    assert!(Pickle::read(bytes, true).is_ok());
    assert!(Pickle::read(bytes, false).unwrap_err().contains("__torch__.Model"));
    assert!(Pickle::read(b"c__torch__x\nModel\n.", true).unwrap_err().contains("__torch__x.Model"));
    let bytes = b"\x80\x02c__torch__.clip\nModel\n)\x81}(X\x01\x00\x00\x00aK\x01ub.";
    let pickle = Pickle::read(bytes, true).unwrap();
    let &Node::Object(Some(attributes)) = pickle.root() else { panic!("{:?}", pickle.root()) };
    let Node::Dict(attributes) = pickle.get(attributes) else { panic!() };
    assert_eq!(pickle.entry(attributes, "a"), Some(&Node::Int(1)));
}

#[test]
fn numbers_and_strings_of_every_kind_are_read() {
    let ints: [(&[u8], i128); 6] = [
        (b"K\xff.", 255),
        (b"M\x01\x02.", 513),
        (b"J\xff\xff\xff\xff.", -1),
        (b"\x8a\x00.", 0),
        (b"\x8a\x01\xff.", -1),
        (b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", 0x1950_a86a_20f9_469c_fc6c),
    ];
    for (bytes, value) in ints {
        assert_eq!(read(bytes).unwrap().root(), &Node::Int(value));
    }
    for bytes in [&b"X\x02\x00\x00\x00hi."[..], b"\x8c\x02hi.", b"\x8d\x02\0\0\0\0\0\0\0hi.", b"U\x02hi."] {
        assert_eq!(read(bytes).unwrap().root(), &Node::Text("hi"));
    }
}

#[test]
fn limits_hold() {
    let nested = [b"(".repeat(DEEPEST + 1), b".".to_vec()].concat();
    assert!(read(&nested).unwrap_err().contains("nested more than 256 deep"));
    let many = [b"N".repeat(MOST_NODES + 1), b".".to_vec()].concat();
    assert!(read(&many).unwrap_err().contains("more than 1048576 values"));
    assert!(read(&vec![b'N'; LARGEST + 1]).unwrap_err().contains("16777217 bytes"));
    // A million tuples, each around the last, are no danger: values lie side by side.
    let deep = [b")".to_vec(), b"\x85".repeat(1_000_000), b".".to_vec()].concat();
    assert!(read(&deep).is_ok());
    // A tuple of millions that as many calls share: walked each time, this would take hours.
    let shared =
        [&b"ctorch._utils\n_rebuild_parameter\nq\x01("[..], &b"h\x01".repeat(4_000_000), b"tq\x02"].concat();
    let calls = [shared, b"h\x01h\x02R".repeat(1_000_000), b".".to_vec()].concat();
    assert!(read(&calls).unwrap_err().contains("with 4000000 arguments"));
    // A list that holds itself.
    assert!(read(b"]q\x00h\x00a.").is_ok());
    for (bytes, named) in [
        (&b""[..], "cut off"),
        (b"X\xff\xff\xff\xffhi", "cut off"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffhi", "cut off"),
        (b"h\x07.", "nothing in its memo at 7"),
        (b"0.", "more values than it has made"),
        (b"(0.", "more values than it has made"),
        (b"N(0.", "more values than it has made"),
        (b"}K\x01a.", "not a list"),
        (b"](K\x01u.", "key without a value"),
        (b"e.", "did not open"),
        (b"\x80\x09.", "protocol 9"),
        (b"K\x01Q.", "no storage"),
        (b"]}b.", "state of something that has none"),
    ] {
        let message = read(bytes).unwrap_err();
        assert!(message.contains(named), "{named}: {message}");
    }
}

#[test]
fn no_mutation_of_a_pickle_panics() {
    for at in 0..MATRIX.len() {
        for value in 0..=255 {
            let mut changed = MATRIX.to_vec();
            changed[at] = value;
            let _ = Pickle::read(&changed, true);
        }
        let _ = Pickle::read(&MATRIX[..at], false);
    }
}
