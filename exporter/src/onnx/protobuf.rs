//! Protocol Buffers' wire format (<https://protobuf.dev/programming-guides/encoding/>), writing only.

/// A message under construction.
#[derive(Debug, Default)]
pub struct Message(Vec<u8>);

/// Wire types: what follows a field's tag.
const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;
const FOUR_BYTES: u64 = 5;

impl Message {
    /// The encoded bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// An integer, boolean or enum field. (A negative one takes ten bytes, as the format asks for `int64`.)
    pub fn int(&mut self, field: u64, value: i64) {
        self.tag(field, VARINT);
        varint(&mut self.0, value.cast_unsigned());
    }

    /// A single-precision field.
    pub fn float(&mut self, field: u64, value: f32) {
        self.tag(field, FOUR_BYTES);
        self.0.extend(value.to_le_bytes());
    }

    /// A string field.
    pub fn string(&mut self, field: u64, value: &str) {
        self.length_delimited(field, value.len() as u64);
        self.0.extend(value.as_bytes());
    }

    /// A field that is a message.
    pub fn message(&mut self, field: u64, value: &Message) {
        self.length_delimited(field, value.0.len() as u64);
        self.0.extend(&value.0);
    }

    /// All fields of another message.
    pub fn append(&mut self, other: &Message) {
        self.0.extend(&other.0);
    }

    /// The beginning of a field of `length` bytes (bytes, or a message) that the caller writes after this message.
    pub fn length_delimited(&mut self, field: u64, length: u64) {
        self.tag(field, LENGTH_DELIMITED);
        varint(&mut self.0, length);
    }

    fn tag(&mut self, field: u64, wire_type: u64) {
        varint(&mut self.0, field << 3 | wire_type);
    }
}

/// Seven bits a byte, lowest first; the top bit says that more follow.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the format's documentation.
    #[test]
    fn bytes_are_those_of_the_documentation() {
        let mut message = Message::default();
        message.int(1, 150);
        assert_eq!(message.bytes(), [0x08, 0x96, 0x01]);
        let mut outer = Message::default();
        outer.message(3, &message);
        assert_eq!(outer.bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let mut text = Message::default();
        text.string(2, "testing");
        assert_eq!(text.bytes(), *b"\x12\x07testing");
    }

    #[test]
    fn negative_integers_take_ten_bytes() {
        let mut message = Message::default();
        message.int(1, -2);
        assert_eq!(message.bytes(), [8, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        let mut number = Message::default();
        number.float(2, 1.0);
        assert_eq!(number.bytes(), [0x15, 0, 0, 0x80, 0x3f]);
    }
}
