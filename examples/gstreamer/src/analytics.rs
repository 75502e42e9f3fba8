//! GStreamer's library for analytics, where there is one: detections and classifications since 1.24, tensors since 1.26. It is opened at run
//! time, so that the plugin is one for all versions from 1.20 on.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::OnceLock;

use gstreamer::glib;
use gstreamer::glib::translate::{IntoGlib, IntoGlibPtr};
use gstreamer::{BufferRef, ffi};
use libloading::Library;

/// Its name, on every version so far.
const NAME: &str = "libgstanalytics-1.0.so.0";

/// `GST_ANALYTICS_REL_TYPE_RELATE_TO`
const RELATE_TO: c_uint = 1 << 3;

/// `GST_ANALYTICS_REL_TYPE_ANY`
const ANY: c_uint = c_int::MAX as c_uint;

/// `GST_TENSOR_DATA_TYPE_FLOAT32`
const FLOAT32: c_int = 11;

/// `GST_TENSOR_DIM_ORDER_ROW_MAJOR`
const ROW_MAJOR: c_int = 0;

/// `GstAnalyticsRelationMeta`, which only the library looks into.
type Meta = *mut c_void;

/// `GstAnalyticsMtd`: a piece of metadata by its number.
#[repr(C)]
struct Mtd {
    id: c_uint,
    meta: Meta,
}

impl Mtd {
    fn new() -> Mtd {
        Mtd { id: 0, meta: null_mut() }
    }
}

/// What of the library is used. The library is never closed, which its types would not survive.
struct Api {
    get: unsafe extern "C" fn(*mut ffi::GstBuffer) -> Meta,
    add: unsafe extern "C" fn(*mut ffi::GstBuffer) -> Meta,
    add_classes: unsafe extern "C" fn(Meta, usize, *const f32, *const u32, *mut Mtd) -> c_int,
    relate: unsafe extern "C" fn(Meta, c_uint, c_uint, c_uint) -> c_int,
    iterate: unsafe extern "C" fn(Meta, *mut *mut c_void, usize, *mut Mtd) -> c_int,
    related: unsafe extern "C" fn(Meta, c_uint, c_uint, usize, *mut *mut c_void, *mut Mtd) -> c_int,
    detection_type: unsafe extern "C" fn() -> usize,
    location:
        unsafe extern "C" fn(*const Mtd, *mut c_int, *mut c_int, *mut c_int, *mut c_int, *mut f32) -> c_int,
    tracking_type: unsafe extern "C" fn() -> usize,
    tracking: unsafe extern "C" fn(*const Mtd, *mut u64, *mut u64, *mut u64, *mut c_int) -> c_int,
    tensors: Result<Tensors, String>,
}

/// What 1.26 has added.
struct Tensors {
    new: unsafe extern "C" fn(u32, c_int, *mut ffi::GstBuffer, c_int, usize, *mut usize) -> *mut c_void,
    add: unsafe extern "C" fn(*mut ffi::GstBuffer) -> Meta,
    set: unsafe extern "C" fn(Meta, c_uint, *mut *mut c_void),
}

impl Api {
    fn open() -> Result<Api, libloading::Error> {
        // SAFETY: it is GStreamer's own library, which this process has opened, or could.
        let library = unsafe { Library::new(NAME) }?;
        // SAFETY: functions have these types since they are there (gst/analytics/*.h), for all of 1.x.
        let api = unsafe {
            Api {
                get: *library.get(b"gst_buffer_get_analytics_relation_meta\0")?,
                add: *library.get(b"gst_buffer_add_analytics_relation_meta\0")?,
                add_classes: *library.get(b"gst_analytics_relation_meta_add_cls_mtd\0")?,
                relate: *library.get(b"gst_analytics_relation_meta_set_relation\0")?,
                iterate: *library.get(b"gst_analytics_relation_meta_iterate\0")?,
                related: *library.get(b"gst_analytics_relation_meta_get_direct_related\0")?,
                detection_type: *library.get(b"gst_analytics_od_mtd_get_mtd_type\0")?,
                location: *library.get(b"gst_analytics_od_mtd_get_location\0")?,
                tracking_type: *library.get(b"gst_analytics_tracking_mtd_get_mtd_type\0")?,
                tracking: *library.get(b"gst_analytics_tracking_mtd_get_info\0")?,
                tensors: Tensors::find(&library).map_err(|error| error.to_string()),
            }
        };
        std::mem::forget(library);
        Ok(api)
    }

    fn get() -> Result<&'static Api, &'static str> {
        static API: OnceLock<Result<Api, String>> = OnceLock::new();
        API.get_or_init(|| Api::open().map_err(|error| error.to_string())).as_ref().map_err(String::as_str)
    }
}

impl Tensors {
    /// # Safety
    /// The library is GStreamer's.
    unsafe fn find(library: &Library) -> Result<Tensors, libloading::Error> {
        // SAFETY: as in `Api::open`.
        unsafe {
            Ok(Tensors {
                new: *library.get(b"gst_tensor_new_simple\0")?,
                add: *library.get(b"gst_buffer_add_tensor_meta\0")?,
                set: *library.get(b"gst_tensor_meta_set\0")?,
            })
        }
    }
}

/// Something that a detector has found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Its number in the buffer's metadata.
    pub id: u32,
    /// Left, top, width, height; pixels.
    pub rect: [i64; 4],
    /// The number that a tracker has given it.
    pub track: Option<u64>,
}

/// The detections in a buffer's metadata; none where GStreamer has none.
pub fn detections(buffer: &BufferRef) -> Vec<Detection> {
    let Ok(api) = Api::get() else { return Vec::new() };
    let mut found = Vec::new();
    // SAFETY: the buffer is one, and its metadata stays while it is borrowed. The library writes where it is told.
    unsafe {
        let meta = (api.get)(buffer.as_ptr().cast_mut());
        if meta.is_null() {
            return found;
        }
        let (of_detections, of_tracks) = ((api.detection_type)(), (api.tracking_type)());
        let (mut state, mut mtd) = (null_mut(), Mtd::new());
        while (api.iterate)(meta, &mut state, of_detections, &mut mtd) != 0 {
            let (mut x, mut y, mut w, mut h, mut confidence) = (0, 0, 0, 0, 0.0);
            if (api.location)(&mtd, &mut x, &mut y, &mut w, &mut h, &mut confidence) == 0 {
                continue;
            }
            let (mut related, mut track) = (null_mut(), Mtd::new());
            let (mut number, mut first, mut last, mut is_lost) = (0, 0, 0, 0);
            let is_tracked = (api.related)(meta, mtd.id, ANY, of_tracks, &mut related, &mut track) != 0
                && (api.tracking)(&track, &mut number, &mut first, &mut last, &mut is_lost) != 0;
            found.push(Detection {
                id: mtd.id,
                rect: [x, y, w, h].map(i64::from),
                track: is_tracked.then_some(number),
            });
        }
    }
    found
}

/// Adds a classification to a buffer's metadata: labels and their probabilities, of the detection `of` or of the picture. Nothing where GStreamer
/// has no such metadata.
pub fn classify(buffer: &mut BufferRef, labels: &[(&str, f32)], of: Option<u32>) {
    let Ok(api) = Api::get() else { return };
    let probabilities: Vec<f32> = labels.iter().map(|&(_, probability)| probability).collect();
    let names: Vec<u32> = labels.iter().map(|&(name, _)| glib::Quark::from_str(name).into_glib()).collect();
    // SAFETY: the buffer is writable; there are as many of both as is said, and the library copies them.
    unsafe {
        let known = (api.get)(buffer.as_mut_ptr());
        let meta = if known.is_null() { (api.add)(buffer.as_mut_ptr()) } else { known };
        let mut mtd = Mtd::new();
        let added = !meta.is_null()
            && (api.add_classes)(meta, labels.len(), probabilities.as_ptr(), names.as_ptr(), &mut mtd) != 0;
        if let (true, Some(of)) = (added, of) {
            (api.relate)(meta, RELATE_TO, of, mtd.id);
        }
    }
}

/// Whether tensors can be attached to buffers.
///
/// # Errors
/// Why not.
pub fn has_tensors() -> Result<(), &'static str> {
    Api::get().and_then(|api| api.tensors.as_ref().map(|_| ()).map_err(String::as_str))
}

/// Adds embeddings to a buffer as a tensor `clip-embedding`, float32 `[items, embed_dim]`.
pub fn embed(buffer: &mut BufferRef, embeddings: &[f32], items: usize) {
    let Ok(Api { tensors: Ok(tensors), .. }) = Api::get() else { return };
    if items == 0 {
        return;
    }
    let bytes: Vec<u8> = embeddings.iter().flat_map(|number| number.to_ne_bytes()).collect();
    let data = gstreamer::Buffer::from_mut_slice(bytes);
    let mut sizes = [items, embeddings.len() / items];
    let name = glib::Quark::from_str("clip-embedding").into_glib();
    // SAFETY: the tensor takes the data over, the metadata the tensor and the array, which GLib has allocated; sizes are copied.
    unsafe {
        let tensor =
            (tensors.new)(name, FLOAT32, data.into_glib_ptr(), ROW_MAJOR, sizes.len(), sizes.as_mut_ptr());
        let array: *mut *mut c_void = glib::ffi::g_malloc(size_of::<*mut c_void>()).cast();
        *array = tensor;
        (tensors.set)((tensors.add)(buffer.as_mut_ptr()), 1, array);
    }
}
