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

    /// With an integer, boolean or enum field. (A negative one takes ten bytes, as the format asks for `int64`.)
    pub fn int(self, field: u64, value: i64) -> Message {
        self.tag(field, VARINT).varint(value.cast_unsigned())
    }

    /// With a single-precision field.
    pub fn float(self, field: u64, value: f32) -> Message {
        self.tag(field, FOUR_BYTES).append(&value.to_le_bytes())
    }

    /// With a string field.
    pub fn string(self, field: u64, value: &str) -> Message {
        self.length_delimited(field, value.len() as u64).append(value.as_bytes())
    }

    /// With a field that is a message.
    pub fn message(self, field: u64, value: &Message) -> Message {
        self.length_delimited(field, value.0.len() as u64).append(&value.0)
    }

    /// With what `add` adds for each of `items`.
    pub fn each<T>(
        self,
        items: impl IntoIterator<Item = T>,
        add: impl FnMut(Message, T) -> Message,
    ) -> Message {
        items.into_iter().fold(self, add)
    }

    /// With encoded bytes: all fields of another message, or the rest of a field.
    pub fn append(mut self, bytes: &[u8]) -> Message {
        self.0.extend(bytes);
        self
    }

    /// With the beginning of a field of `length` bytes (bytes, or a message) that the caller writes after this message.
    pub fn length_delimited(self, field: u64, length: u64) -> Message {
        self.tag(field, LENGTH_DELIMITED).varint(length)
    }

    fn tag(self, field: u64, wire_type: u64) -> Message {
        self.varint(field << 3 | wire_type)
    }

    /// Seven bits a byte, lowest first; the top bit says that more follow.
    fn varint(mut self, mut value: u64) -> Message {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the format's documentation.
    #[test]
    fn bytes_are_those_of_the_documentation() {
        let message = Message::default().int(1, 150);
        assert_eq!(message.bytes(), [0x08, 0x96, 0x01]);
        let outer = Message::default().message(3, &message);
        assert_eq!(outer.bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let text = Message::default().string(2, "testing");
        assert_eq!(text.bytes(), *b"\x12\x07testing");
    }

    #[test]
    fn negative_integers_take_ten_bytes() {
        let message = Message::default().int(1, -2);
        assert_eq!(message.bytes(), [8, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        let number = Message::default().float(2, 1.0);
        assert_eq!(number.bytes(), [0x15, 0, 0, 0x80, 0x3f]);
    }
}
