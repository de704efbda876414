use std::any::type_name;
use std::fmt;

use crate::{Cx, Result, Stage};

/// A closure as a stage; made by [`stage_fn`].
///
/// ```
/// use pipeline_core::{Decoded, Result, Stage, StageFn, stage_fn};
///
/// // A function, whose type can be named, where a closure's cannot.
/// fn width(picture: &Decoded) -> Result<u32> {
///     Ok(picture.pixels().width())
/// }
///
/// let stage: StageFn<fn(&Decoded) -> Result<u32>> = stage_fn("width", width);
/// assert_eq!(stage.name(), "width");
/// ```
#[derive(Clone)]
pub struct StageFn<F> {
    name: &'static str,
    function: F,
}

/// Makes a stage from a closure.
///
/// ```
/// use pipeline_core::{Decoded, stage_fn};
///
/// let aspect = stage_fn("aspect", |picture: &Decoded| {
///     let (width, height) = picture.pixels().dimensions();
///     Ok(f64::from(width) / f64::from(height))
/// });
/// ```
pub fn stage_fn<In: ?Sized, O: Send, F: Fn(&In) -> Result<O> + Send + Sync>(
    name: &'static str,
    function: F,
) -> StageFn<F> {
    StageFn { name, function }
}

impl<F> fmt::Debug for StageFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageFn")
            .field("name", &self.name)
            .field("function", &type_name::<F>())
            .finish()
    }
}

impl<In: ?Sized, O: Send, F: Fn(&In) -> Result<O> + Send + Sync> Stage<In> for StageFn<F> {
    type Out = O;

    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&self, input: &In, _cx: &Cx) -> Result<O> {
        (self.function)(input)
    }
}
