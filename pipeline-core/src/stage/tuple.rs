use crate::{Cx, Result, Stage};

/// Stages side by side on the same input, run in order on the calling thread; the first failure is the tuple's.
macro_rules! tuple_stage {
    ($($stage:ident $out:ident $index:tt),+) => {
        #[deny(clippy::missing_trait_methods)]
        impl<In: ?Sized, $($stage: Stage<In>),+> Stage<In> for ($($stage,)+) {
            type Out = ($($stage::Out,)+);

            fn name(&self) -> &'static str {
                "tuple"
            }

            fn run(&self, input: &In, cx: &Cx) -> Result<Self::Out> {
                Ok(($({
                    cx.check()?;
                    self.$index.run(input, cx)?
                },)+))
            }

            fn run_batch(&self, inputs: &[&In], cx: &Cx) -> Vec<Result<Self::Out>> {
                $(let mut $out = self.$index.run_batch(inputs, cx).into_iter();)+
                inputs
                    .iter()
                    .map(|_| {
                        // Each iterator moves on even where an earlier one failed, or later items would shift.
                        $(let $out = $out.next().expect("run_batch returns one result for each input");)+
                        Ok(($($out?,)+))
                    })
                    .collect()
            }
        }
    };
}

tuple_stage!(A a 0, B b 1);
tuple_stage!(A a 0, B b 1, C c 2);
tuple_stage!(A a 0, B b 1, C c 2, D d 3);
tuple_stage!(A a 0, B b 1, C c 2, D d 3, E e 4);
tuple_stage!(A a 0, B b 1, C c 2, D d 3, E e 4, F f 5);

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Double, values};
    use crate::{Cx, Stage, stage_fn};

    #[test]
    fn outputs_keep_their_types_and_places() {
        let stages = (Double, stage_fn("text", |n: &u32| Ok(n.to_string())));
        assert_eq!(stages.run(&2, &Cx::none()).unwrap(), (4, "2".to_owned()));
        let batch = values(stages.run_batch(&[&2, &3, &4], &Cx::none()));
        assert_eq!(
            batch,
            [
                Some((1_004, "2".to_owned())),
                None,
                Some((1_008, "4".to_owned()))
            ]
        );
    }
}
