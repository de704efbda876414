//! Pointers to stages are stages. Each forwards `run_batch` too, or batching would be lost behind a pointer.

use std::sync::Arc;

use crate::{Cx, Result, Stage};

macro_rules! forward_stage {
    ($pointer:ty) => {
        #[deny(clippy::missing_trait_methods)]
        impl<In: ?Sized, S: Stage<In> + ?Sized> Stage<In> for $pointer {
            type Out = S::Out;

            fn name(&self) -> &'static str {
                (**self).name()
            }

            fn run(&self, input: &In, cx: &Cx) -> Result<S::Out> {
                (**self).run(input, cx)
            }

            fn run_batch(&self, inputs: &[&In], cx: &Cx) -> Vec<Result<S::Out>> {
                (**self).run_batch(inputs, cx)
            }
        }
    };
}

forward_stage!(&S);
forward_stage!(Box<S>);
forward_stage!(Arc<S>);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::stage::testing::{Double, values};
    use crate::{Cx, Stage, StageExt};

    #[test]
    fn batching_survives_every_pointer() {
        let cx = Cx::none();
        assert_eq!(
            values(Stage::<u32>::run_batch(&&Double, &[&2], &cx)),
            [Some(1_004)]
        );
        assert_eq!(values(Double.boxed().run_batch(&[&2], &cx)), [Some(1_004)]);
        assert_eq!(
            values(Arc::new(Double).run_batch(&[&2], &cx)),
            [Some(1_004)]
        );
    }
}
