//! What any store keeps, wherever it stores: functions over `&Store`, so that a second store can run them.

mod images;
mod queue;

use crate::support::Scratch;

macro_rules! contract {
    ($($module:ident::$name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $module::$name(&Scratch::new());
            }
        )*
    };
}

contract! {
    images::an_empty_store_has_nothing
    images::an_accepted_image_is_processing
    images::names_are_kept_as_they_are_sent
    images::the_list_is_newest_first_and_whole_without_a_limit
    images::pages_show_each_image_once
    images::pages_do_not_shift_when_images_come_and_go
    images::a_result_reads_back_as_it_was_stored
    images::a_result_without_a_caption_keeps_the_reason
    images::a_failure_reads_back_as_it_was_stored
    images::thumbnails_are_found_by_their_name_only
    images::statistics_count_and_average
    images::a_mean_is_not_rounded
    images::a_deleted_image_is_gone
    queue::the_oldest_image_is_claimed_first
    queue::each_job_is_claimed_once
    queue::a_released_job_waits_at_its_old_place
    queue::a_job_ends_once
    queue::the_job_of_a_deleted_image_is_lost
    queue::reads_go_on_during_writes
    queue::the_oldest_unfinished_image_is_known
}
